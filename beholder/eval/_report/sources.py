"""How the pictures of a report are opened: files, members of archives, rows of parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from beholder._page import thumbnails
from beholder._page.thumbnails import Fit, Missing, Thumbnail
from beholder.images import ImageSource
from beholder.located import each_picture

Drawn = Thumbnail | Missing


def sources(images: Sequence[ImageSource]) -> Iterator[ImageSource]:
    """What `beholder.images.read_image` takes for each picture, in order.

    Neighbours out of one archive are read together.
    """
    located = each_picture(image for image in images if isinstance(image, str))
    for image in images:
        yield next(located) if isinstance(image, str) else image


class Drawings:
    """Thumbnails of one page: a picture that it shows more than once is read once."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[str, Fit | None], Drawn] = {}

    def __call__(self, image: ImageSource, fit: Fit | None = None) -> Drawn:
        """The thumbnail of a picture as `beholder._page.thumbnails.thumbnail` makes it."""
        if not isinstance(image, str):
            return thumbnails.thumbnail(image, fit=fit)
        if (image, fit) not in self._drawn:
            (source,) = sources([image])
            self._drawn[image, fit] = thumbnails.thumbnail(source, fit=fit)
        return self._drawn[image, fit]
