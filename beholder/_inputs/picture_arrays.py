"""Pictures of NumPy files, one after another: `.npy`, and `.npz` such as ADM's samples.

The array of pictures is (n, h, w, 3), as `arr_0` of ADM; it is read row by row, and nothing is ever
unpickled. Arrays (n,) beside it are further columns: `arr_1` is the `label`, others keep their
names, and one that is named as prompts are is the prompt.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from beholder._inputs.archives import Member
from beholder._inputs.records import column_of
from beholder._pixels import check_size
from beholder.errors import DataError, ImageError
from beholder.images import LIMITS, ImageSource

ARRAYS = (".npz", ".npy")
_STATISTICS = {"mu", "sigma"}
_CHANNELS = (1, 3, 4)
_FAULTS = (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error)


_format: Any = np.lib.format  # which has no types


@dataclass(frozen=True, slots=True)
class _Head:
    """What an array is, before its values."""

    shape: tuple[int, ...]
    in_columns: bool
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class ArrayPictures:
    """The pictures of one NumPy file, read anew at each iteration.

    Attributes:
        path: of the file.
        array: whose rows they are; "" in a `.npy`.
        count: how many there are.
        columns: further columns, (n,) each.
    """

    path: Path
    array: str
    count: int
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Member]:
        named = column_of("prompt", self.columns)
        with _array(self.path, self.array) as file:
            images = _rows(file, _head(file))
            for number in range(self.count):
                record = {name: values[number].item() for name, values in self.columns.items()}
                said = record.pop(named or "", None)
                yield Member(
                    key=f"row {number}",
                    image=next(images),
                    prompt=None if said is None else str(said),
                    extra=record,
                )


def array_pictures(path: Path) -> ArrayPictures:
    """The pictures of a `.npy` or `.npz` file.

    Raises DataError if the file is damaged, or holds statistics, features or anything else.
    """
    try:
        heads = {name: _read_head(path, name) for name in _names(path)}
        array = _of_pictures(path, heads)
        count = heads[array].shape[0]
        columns = {
            _column(name): _read_all(path, name)
            for name, head in heads.items()
            if head.shape == (count,) and name != array and not head.dtype.hasobject
        }
    except DataError:  # it is a ValueError too
        raise
    except _FAULTS as error:
        raise DataError(f"{path} is damaged, cut off or no NumPy file: {error}") from error
    return ArrayPictures(path, array, count, columns)


@contextmanager
def array_images(path: Path) -> Iterator[Callable[[str], ImageSource]]:
    """What gives the picture of a key, "row 3", of a NumPy file held open.

    Raises DataError as `array_pictures` does.
    """
    pictures = array_pictures(path)
    with _array(path, pictures.array) as file:
        head = _head(file)
        start = file.tell()

        def image(key: str) -> ImageSource:
            number = key.removeprefix("row ")
            if not number.isdecimal() or int(number) >= pictures.count:
                return ImageError("missing", f"{path} has no picture {key!r}")
            try:
                file.seek(start + int(number) * head.row_bytes)
                return _row(file, head)
            except ImageError as error:
                return error
            except _FAULTS as error:
                return ImageError("corrupt", f"its file is damaged here or before: {error}")

        yield image


def _names(path: Path) -> list[str]:
    if path.suffix.lower() == ".npy":
        return [""]
    with zipfile.ZipFile(path) as file:
        return [name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")]


def _of_pictures(path: Path, heads: Mapping[str, _Head]) -> str:
    """The one array that holds pictures; DataError says what the file holds instead."""
    found = [name for name, head in heads.items() if len(head.shape) == 4]
    listed = ", ".join(f"{name or 'an array'} {head.shape}" for name, head in heads.items())
    if not found and heads.keys() >= _STATISTICS:
        raise DataError(f"{path} holds statistics, no pictures; give it to `beholder measure`")
    if not found and any(len(head.shape) == 2 for head in heads.values()):
        raise DataError(f"{path} holds features ({listed}), no pictures; see `beholder measure`")
    if len(found) != 1:
        raise DataError(f"{path} holds {listed}; expected one array of pictures (n, h, w, 3)")
    _check_pictures(path, heads[found[0]])
    return found[0]


def _check_pictures(path: Path, head: _Head) -> None:
    if head.dtype.hasobject:
        raise DataError(f"{path} holds Python objects, which are never unpickled; save numbers")
    if head.shape[-1] not in _CHANNELS:
        raise DataError(f"{path} holds pictures {head.shape}; move the channels last, (n, h, w, 3)")
    if head.in_columns:
        raise DataError(f"{path} is in Fortran order; save `numpy.ascontiguousarray` of it")
    if path.suffix.lower() == ".npy":
        np.load(path, mmap_mode="r", allow_pickle=False)  # whether the file is long enough


def _column(name: str) -> str:
    return "label" if name == "arr_1" else name


@contextmanager
def _array(path: Path, name: str) -> Iterator[io.BufferedIOBase]:
    if path.suffix.lower() == ".npy":
        with path.open("rb") as plain:
            yield plain
    else:
        with zipfile.ZipFile(path) as packed, packed.open(f"{name}.npy") as member:
            yield cast("io.BufferedIOBase", member)


def _head(file: io.BufferedIOBase) -> _Head:
    version = _format.read_magic(file)
    read = _format.read_array_header_1_0 if version == (1, 0) else _format.read_array_header_2_0
    return _Head(*read(file))


def _read_head(path: Path, name: str) -> _Head:
    with _array(path, name) as file:
        return _head(file)


def _read_all(path: Path, name: str) -> npt.NDArray[Any]:
    with _array(path, name) as file:
        values: npt.NDArray[Any] = _format.read_array(file, allow_pickle=False)
        return values


def _rows(file: io.BufferedIOBase, head: _Head) -> Iterator[ImageSource]:
    """Each picture (h, w, c); from a damaged place on, the reason."""
    try:
        while True:
            yield _row(file, head)
    except ImageError as error:
        damage = ImageError(error.code, str(error))
    except _FAULTS as error:
        damage = ImageError("corrupt", f"its file is damaged here or before: {error}")
    while True:
        yield damage


def _row(file: io.BufferedIOBase, head: _Head) -> npt.NDArray[Any]:
    """The next picture; ImageError if it is too large, before a byte of it is read."""
    check_size(head.shape[2], head.shape[1], LIMITS)
    return np.frombuffer(file.read(head.row_bytes), head.dtype).reshape(head.shape[1:]).copy()
