"""Pictures by what a table says of where they are: its column `image`, `Row.name` of `inputs`.

    /data/a.png                     a file
    /data/shard-000.tar/x/a.png     a picture in a `.tar` or `.zip`
    /data/samples.npz/row 3         a picture of a `.npz` or `.npy`
    /data/train.parquet#12          the picture of row 12 of a parquet file
    /data/saved#12                  the same of a folder written by `Dataset.save_to_disk`
    s3://bucket/shard-000.tar/a.png the same in object stores (`storage.STORES`)

Nothing is unpacked to the disk. A remote archive is fetched whole, the last one alone is kept, and
other addresses than those of stores, such as http, are never asked: a table may be anyone's.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from beholder._inputs.archives import ARCHIVES, packed_images
from beholder._inputs.embedded import dataset_images, parquet_images
from beholder._inputs.picture_arrays import array_images
from beholder._inputs.remote_files import fetch_picture
from beholder.errors import DataError, ImageError
from beholder.images import ImageSource
from beholder.storage import STORES, Place, is_remote, scheme_of

Find = Callable[[str], ImageSource]
"""The picture of a member or row, or why there is none."""

_OPEN = 4  # containers at once, for pictures that come from several in turns
_ARCHIVE = re.compile(r"\.(?:zip|tar|npz|npy)/", re.I)
_ESCAPED = re.compile(r"\\u(dc[89a-f][0-9a-f])")
_ROW = re.compile(r"(.+)#(\d+)", re.S)


def picture_source(image: str) -> ImageSource:
    """What `images.read_image` takes for a located picture: a path, its bytes, or why it has none.

    Of many pictures, `each_picture` opens their archives less often.
    """
    return next(each_picture([image]))


def each_picture(images: Iterable[str]) -> Iterator[ImageSource]:
    """`picture_source` of each, in order; archives stay open while their pictures come."""
    with Finder() as finder:
        for image in images:
            yield finder.find(image)


def container_of(image: str) -> tuple[str, str]:
    """The archive, parquet file or data set that holds a picture, and what it is called there.

    Both are "" for a picture that is a file of its own.
    """
    remote = is_remote(image)
    for found in _ARCHIVE.finditer(image):
        container = image[: found.end() - 1]
        if remote or os.path.isfile(container):  # noqa: PTH113
            return container, image[found.end() :]
    row = _ROW.fullmatch(image)
    if row is not None and _has_rows(row[1], remote) and not os.path.lexists(image):
        return row[1], row[2]
    return "", ""


def _has_rows(container: str, remote: bool) -> bool:
    if container.lower().endswith(".parquet"):
        return remote or os.path.isfile(container)  # noqa: PTH113
    return not remote and Path(container, "state.json").is_file()


@dataclass(slots=True)
class Finder:
    """Finds located pictures; the containers of the last ones stay open until it is left.

    It is for one thread.
    """

    _open: OrderedDict[str, tuple[Find, ExitStack]] = field(default_factory=OrderedDict)

    def __enter__(self) -> Finder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        while self._open:
            self._close(next(iter(self._open)))

    def find(self, image: str) -> ImageSource:
        """The path of a file, the bytes of a picture elsewhere, or an ImageError that says why."""
        image = _as_named(image)
        if is_remote(image) and scheme_of(image) not in STORES:
            return ImageError("unreadable", f"{image} is not fetched; download it first")
        container, member = self._container(image)
        if container:
            return self._opened(container)(member)
        return fetch_picture(Place(image)) if is_remote(image) else image

    def _container(self, image: str) -> tuple[str, str]:
        last = next(reversed(self._open), None)
        if last is not None and image.startswith(f"{last}/"):
            return last, image[len(last) + 1 :]
        return container_of(image)

    def _opened(self, container: str) -> Find:
        if container in self._open:
            self._open.move_to_end(container)
            return self._open[container][0]
        self._make_room(container)
        stack = ExitStack()
        try:
            find = stack.enter_context(_images(container))
        except DataError as error:
            find = _nothing(str(error))
        self._open[container] = (find, stack)
        return find

    def _make_room(self, container: str) -> None:
        if is_remote(container):
            for other in [name for name in self._open if is_remote(name)]:
                self._close(other)
        while len(self._open) >= _OPEN:
            self._close(next(iter(self._open)))

    def _close(self, container: str) -> None:
        self._open.pop(container)[1].close()


def _as_named(image: str) -> str:
    r"""The name of a file whose bytes that are no text a table had to write as "\udcff"."""
    if "\\udc" not in image or os.path.lexists(image):
        return image
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), image)


@contextmanager
def _images(container: str) -> Iterator[Find]:
    name = container.lower()
    if name.endswith(".parquet"):
        with parquet_images(Place(container)) as find:
            yield find
    elif Path(container).is_dir():
        yield dataset_images(Path(container))
    else:
        read = packed_images if name.endswith(ARCHIVES) else array_images
        with Place(container).local() as path, read(path) as find:
            yield find


def _nothing(why: str) -> Find:
    return lambda member: ImageError("unreadable", why)
