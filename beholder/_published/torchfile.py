"""Weights in the files of `torch.save`: zip or older, a state dict or a whole pickled module."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import torch
from torch import Tensor

from beholder._published.unpickle import Call, Name, read_pickle, sequence
from beholder.errors import WeightsError

MAX_PICKLE_BYTES = 64 * 2**20
"""The pickle of a module of 1,000 layers takes 2 MiB; its weights lie outside it."""

MAX_PARTS = 100_000
MAX_NAME_CHARACTERS = 1_000

_WRAPPERS = ("state_dict", "model", "module")
_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_DENSE = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"}
_PARAMETER = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
}
_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file from before torch 1.6
_BROKEN = (
    *(ValueError, TypeError, LookupError, RuntimeError, OSError, EOFError),
    *(zipfile.BadZipFile, struct.error),
)


def read_torch(path: Path) -> dict[str, Tensor]:
    """Weights by name in a file that `torch.save` wrote; they share the mapped file's memory.

    The file holds a state dict, a dict with one under "state_dict", "model" or "module", or a
    whole module, whose classes need not exist here. Nothing that the file names is executed.
    A module's buffers that are not persistent are left out, as its own state dict would.

    Raises WeightsError if the file is damaged or oversized, or holds no weights.
    """
    try:
        root, spans = (_read_zip if _is_zip(path) else _read_old)(path)
        size = path.stat().st_size
        shelf = _Shelf(torch.from_file(str(path), size=size, dtype=torch.uint8), spans)
        state = {name: _tensor(node, name, shelf) for name, node in _named_nodes(root).items()}
    except _BROKEN as error:
        raise WeightsError(f"{path} is not an intact file of torch.save: {error}") from error
    if not state:
        raise WeightsError(f"{path} holds neither a module nor a dict of tensors")
    return state


def _is_zip(path: Path) -> bool:
    """Whether the file is a zip; ValueError if it began as one and was cut off."""
    if zipfile.is_zipfile(path):
        return True
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            raise ValueError("it ends too early; download or copy it again")
    return False


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class _Span:
    """Where the bytes of a storage lie in the file."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The mapped file and its storages, each taken once, so that tied weights stay tied."""

    whole: Tensor
    spans: Mapping[str, _Span]
    taken: dict[str, Tensor] = field(default_factory=dict)

    def take(self, storage: _Storage) -> Tensor:
        """The flat values of one storage."""
        if storage.key not in self.taken:
            self.taken[storage.key] = self._map(storage)
        return self.taken[storage.key]

    def _map(self, storage: _Storage) -> Tensor:
        span = self.spans.get(storage.key)
        if span is None or not 0 <= span.start <= span.start + span.size <= len(self.whole):
            raise ValueError(f"the bytes of storage {storage.key} are not in the file")
        raw = self.whole[span.start : span.start + span.size]
        is_aligned = span.start % storage.dtype.itemsize == 0
        return (raw if is_aligned else raw.clone()).view(storage.dtype)


def _outside(identity: tuple[object, ...]) -> object:
    kind, name, *rest = identity
    if kind == "module":  # files from before torch 1.6 keep the source code of every class
        return name
    if kind != "storage" or not isinstance(name, Name) or not isinstance(rest[0], str):
        raise TypeError("an outside object is no storage")
    if len(rest) > 3 and rest[3] is not None:
        raise ValueError("a storage is a window of another, as torch before 0.4 wrote them")
    dtype = _DTYPES.get(name.path.removeprefix("torch.").removeprefix("cuda."))
    if dtype is None:
        raise ValueError(f"values are stored as {name.path}, known: {', '.join(_DTYPES)}")
    return _Storage(rest[0], dtype)


def _read_zip(path: Path) -> tuple[object, dict[str, _Span]]:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        pickles = [m for m in archive.infolist() if m.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"{len(pickles)} members are called data.pkl, expected one")
        if pickles[0].file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"its pickle is larger than {MAX_PICKLE_BYTES} bytes")
        root = read_pickle(io.BytesIO(archive.read(pickles[0])), _outside)
        folder = pickles[0].filename.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist():
            _check_little_endian(archive.read(f"{folder}byteorder") == b"little")
        members = [m for m in archive.infolist() if m.filename.startswith(f"{folder}data/")]
        return root, {m.filename.removeprefix(f"{folder}data/"): _span(m, file) for m in members}


def _span(member: zipfile.ZipInfo, file: io.BufferedReader) -> _Span:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed, which torch.save never does")
    file.seek(member.header_offset)
    name, extra = struct.unpack("<26x2H", file.read(30))
    return _Span(member.header_offset + 30 + name + extra, member.file_size)


def _check_little_endian(little: object) -> None:
    if little is not True:
        raise ValueError("it comes from a big-endian machine; save it again on a little-endian one")


def _read_old(path: Path) -> tuple[object, dict[str, _Span]]:
    dtypes: dict[str, torch.dtype] = {}

    def outside(identity: tuple[object, ...]) -> object:
        node = _outside(identity)
        if isinstance(node, _Storage):
            dtypes[node.key] = node.dtype
        return node

    with path.open("rb") as file:
        pickles = io.BytesIO(file.read(MAX_PICKLE_BYTES))
        if read_pickle(pickles, outside) != _MAGIC:
            raise ValueError("it begins neither as a zip nor as torch.save did before version 1.6")
        _version, machine, root, keys = (read_pickle(pickles, outside) for _ in range(4))
        _check_little_endian(isinstance(machine, dict) and machine.get("little_endian"))
        file.seek(pickles.tell())
        return root, dict(_old_spans(file, sequence(keys), dtypes))


def _old_spans(
    file: io.BufferedReader, keys: tuple[object, ...], dtypes: Mapping[str, torch.dtype]
) -> Iterator[tuple[str, _Span]]:
    for key in keys:
        if not isinstance(key, str) or key not in dtypes:
            raise ValueError("it lists bytes that no tensor uses")
        (count,) = struct.unpack("<q", file.read(8))
        size = count * dtypes[key].itemsize
        yield key, _Span(file.tell(), size)
        file.seek(size, io.SEEK_CUR)


def _named_nodes(root: object) -> dict[str, Call]:
    root = _unwrapped(root)
    if _is_module(root):
        return _harvest(root)
    entries = root if isinstance(root, dict) else {}
    return {
        name: node for name, node in entries.items() if isinstance(name, str) and _is_tensor(node)
    }


def _unwrapped(root: object) -> object:
    for wrapper in _WRAPPERS:
        inner = root.get(wrapper) if isinstance(root, dict) else None
        if isinstance(inner, dict) or _is_module(inner):
            return inner
    return root


def _is_tensor(node: object) -> TypeGuard[Call]:
    return isinstance(node, Call) and node.function.startswith("torch._utils._rebuild_")


def _is_module(node: object) -> TypeGuard[Call]:
    state = node.state if isinstance(node, Call) else None
    return isinstance(state, dict) and {"_parameters", "_buffers", "_modules"} <= state.keys()


def _harvest(root: Call) -> dict[str, Call]:
    found: dict[str, Call] = {}
    pending: list[tuple[str, object]] = [("", root)]
    visited = 0
    while pending:
        name, node = pending.pop()
        visited += 1
        if visited + len(pending) > MAX_PARTS or len(name) > MAX_NAME_CHARACTERS:
            raise ValueError(f"its module has over {MAX_PARTS} parts, or contains itself")
        if _is_module(node):
            pending.extend(_parts(node, f"{name}." if name else ""))
        elif _is_tensor(node):
            found[name] = node
        else:
            raise ValueError(f"{name} is neither a module nor a tensor")
    return found


def _parts(module: Call, prefix: str) -> Iterator[tuple[str, object]]:
    state = module.state if isinstance(module.state, dict) else {}
    listed = sequence(state.get("_non_persistent_buffers_set", ()))
    skipped = {name for name in listed if isinstance(name, str)}
    # The last to be pushed is the first to be visited: weights before submodules, all in order.
    for kind in ("_modules", "_buffers", "_parameters"):
        for name, node in reversed(_entries(state[kind]).items()):
            if node is not None and not (kind == "_buffers" and name in skipped):
                yield f"{prefix}{name}", node


def _entries(node: object) -> dict[str | int, object]:
    entries = node.items if isinstance(node, Call) else node
    if not isinstance(entries, dict):
        raise TypeError("its module lists its parts in something other than a dict")
    return entries


def _tensor(node: Call, name: str, shelf: _Shelf) -> Tensor:
    inner = node.arguments[0] if node.arguments else None
    if node.function in _PARAMETER and isinstance(inner, Call):
        node = inner
    if node.function not in _DENSE:
        raise ValueError(f"{name} is stored as {node.function}, expected a dense tensor")
    storage, offset, *layout = node.arguments[:4]
    if not isinstance(storage, _Storage) or not isinstance(offset, int) or len(layout) != 2:
        raise TypeError(f"{name} does not say where its values are")
    return _strided(shelf.take(storage), offset, _sizes(layout[0]), _sizes(layout[1]), name)


def _sizes(value: object) -> tuple[int, ...]:
    sizes = tuple(size for size in sequence(value) if isinstance(size, int) and size >= 0)
    if len(sizes) != len(sequence(value)):
        raise ValueError("a shape or stride holds something other than natural numbers")
    return sizes


def _strided(
    values: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], name: str
) -> Tensor:
    count = torch.Size(size).numel()
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    # as_strided itself only guards the whole mapped file, and a stride of 0 makes any size fit.
    if offset < 0 or count > len(values) or (count and last >= len(values)):
        raise ValueError(f"{name} of shape {size} exceeds its {len(values)} stored values")
    return values.as_strided(size, stride, values.storage_offset() + offset)
