"""What every form of kept pictures offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from beholder.eval._outputs.rows import KeptRow


class PictureWriter(ABC):
    """Writes kept pictures one by one into a folder.

    Attributes:
        files: how many files were begun.
    """

    files: int = 0

    @abstractmethod
    def add(self, row: KeptRow) -> str:
        """A mark of where the picture is, for `place`; ImageError if it is gone.

        Raises DataError if the folder cannot be written.
        """

    def close(self) -> None:
        """Write what is left."""
        return

    def abandon(self) -> None:
        """Let go of files that are open, after a failure; what is in them is thrown away."""
        return

    def place(self, mark: str) -> str:
        """Where a picture is, relative to the folder, once all is closed."""
        return mark
