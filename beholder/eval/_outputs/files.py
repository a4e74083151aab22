"""Kept pictures as files under a folder: hard links or copies."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePosixPath

from typing_extensions import override

from beholder.errors import DataError, ImageError
from beholder.eval._outputs.naming import Names, suffix_of
from beholder.eval._outputs.rows import FULL, KeptRow, encoded, writing
from beholder.eval._outputs.writer import PictureWriter

_PLAIN = re.compile(r"\.\w{1,16}")  # what may stand behind a name


class FileWriter(PictureWriter):
    """Puts each picture under its key, with its own suffix.

    Args:
        folder: where; it exists.
        link: whether files of the same disk are hard links; a picture of an archive is a copy.
    """

    def __init__(self, folder: Path, *, link: bool) -> None:
        self._folder, self._link = folder, link
        self._names = Names()

    @override
    def add(self, row: KeptRow) -> str:
        """Where the picture is, relative to the folder; ImageError if it is gone."""
        if isinstance(row.source, str | os.PathLike):
            place = self._file(row.key, Path(row.source))
        else:
            data = encoded(row.source)
            place = self._place(row.key, suffix_of(PurePosixPath(row.image).name, data))
            with writing(self._folder):
                self._made(place).write_bytes(data)
        self.files += 1
        return place

    def _file(self, key: str, source: Path) -> str:
        try:
            file = source.open("rb") if source.is_file() else None
        except OSError as error:
            raise ImageError("unreadable", f"cannot be opened ({error.strerror})") from error
        if file is None:
            raise ImageError("missing", "no such file")
        place = self._place(key, source.suffix if _PLAIN.fullmatch(source.suffix) else "")
        with file, writing(self._folder):
            target = self._made(place)
            if self._link:
                _link(source, target)
            else:
                with target.open("xb") as copy:
                    shutil.copyfileobj(file, copy)
        return place

    def _place(self, key: str, suffix: str) -> str:
        return f"{self._names.stem(key, suffix)}{suffix}"

    def _made(self, place: str) -> Path:
        target = self._folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise DataError(f"cannot link {source}: {error.strerror}; copy instead") from error
