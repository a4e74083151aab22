"""Files of named arrays: .npz, .npy and .safetensors, read without ever running what is in them."""

from __future__ import annotations

import json
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from beholder.errors import DataError
from beholder.eval._features import Array

SUFFIXES = (".npz", ".npy", ".safetensors")
_ABOUT = "about"  # the array of an .npz that holds what safetensors calls metadata
_Read = TypeVar("_Read")
_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def array_names(path: Path) -> list[str]:
    """Names of the arrays in a file; an .npy has one, "".

    Raises DataError if the file is missing, damaged or of another kind.
    """
    return _of_kind(path, _npz_names, lambda _: [""], _safetensors_names)


def array_shape(path: Path, name: str) -> tuple[int, ...]:
    """Shape of one array, without reading it.

    Raises DataError as `array_names` does.
    """
    return _of_kind(
        path,
        lambda p: _npz_shape(p, name),
        lambda p: np.load(p, mmap_mode="r", allow_pickle=False).shape,
        lambda p: _safetensors(p, lambda file: tuple(file.get_slice(name).get_shape())),
    )


def read_arrays(path: Path, names: list[str] | None = None) -> dict[str, Array]:
    """Arrays by name, all of them or some; that of an .npy is mapped into memory.

    Raises DataError as `array_names` does, or if an array would have to be unpickled.
    """
    wanted = array_names(path) if names is None else names
    return _of_kind(
        path,
        lambda p: _read_npz(p, wanted),
        lambda p: {"": np.load(p, mmap_mode="r", allow_pickle=False)},
        lambda p: _read_safetensors(p, wanted),
    )


def read_about(path: Path) -> dict[str, Any]:
    """What `write_arrays` was told about the arrays; empty for files of other programs.

    Raises DataError as `array_names` does.
    """
    return _of_kind(path, _npz_about, lambda _: {}, _safetensors_about)


def write_arrays(path: Path, arrays: Mapping[str, Array], about: Mapping[str, str]) -> None:
    """Write one .npz or .safetensors, by the suffix; it is there whole or not at all.

    Of several that write one file at the same time, the last one's is there.
    Raises DataError for another suffix.
    """
    partial = path.with_name(f".{uuid.uuid4().hex}.partial{path.suffix}")
    try:
        _write(partial, path, arrays, about)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write(
    partial: Path, path: Path, arrays: Mapping[str, Array], about: Mapping[str, str]
) -> None:
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    if path.suffix == ".npz":
        told = {_ABOUT: np.array(json.dumps(dict(about)))} if about else {}
        np.savez(partial, allow_pickle=False, **whole, **told)
    elif path.suffix == ".safetensors":
        from safetensors.numpy import save_file  # noqa: PLC0415

        save_file(whole, partial, metadata=dict(about))
    else:
        raise DataError(f"write .safetensors or .npz, not {path.name}")


def _of_kind(
    path: Path,
    npz: Callable[[Path], _Read],
    npy: Callable[[Path], _Read],
    safetensors: Callable[[Path], _Read],
) -> _Read:
    read = {".npz": npz, ".npy": npy, ".safetensors": safetensors}.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path} is none of {', '.join(SUFFIXES)}")
    try:
        return read(path)
    except _DAMAGED as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot read {path}: {error}") from error


def _npz_names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as file:
        names = [name.removesuffix(".npy") for name in file.namelist()]
    return [name for name in names if name != _ABOUT]


def _npz_shape(path: Path, name: str) -> tuple[int, ...]:
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        form: Any = np.lib.format
        headers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
        shape: tuple[int, ...] = headers[form.read_magic(file)](file)[0]
    return shape


def _read_npz(path: Path, names: list[str]) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in names}


def _npz_about(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file[_ABOUT])) if _ABOUT in file.files else {}
    return about if isinstance(about, dict) else {}


def _safetensors_names(path: Path) -> list[str]:
    return _safetensors(path, lambda file: list(file.keys()))


def _read_safetensors(path: Path, names: list[str]) -> dict[str, Array]:
    return _safetensors(path, lambda file: {name: file.get_tensor(name) for name in names})


def _safetensors_about(path: Path) -> dict[str, Any]:
    return _safetensors(path, lambda file: file.metadata() or {})


def _safetensors(path: Path, read: Callable[[Any], _Read]) -> _Read:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    try:
        with safe_open(path, framework="numpy") as file:
            return read(file)
    except SafetensorError as error:
        raise DataError(f"cannot read {path}: {error}") from error
