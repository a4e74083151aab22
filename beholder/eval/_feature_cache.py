"""Features kept by the content of the picture or video that they are of.

A folder for each origin of features holds part files, each written whole: what an interrupted run
has done stays done, and several processes may fill one folder.
"""

from __future__ import annotations

import json
import logging
import uuid
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from beholder.eval._features import Array
from beholder.eval._origin import Origin

FORMAT = "1"
"""Of the folders. Another one forgets what is kept: raise it when features of the same content and
origin come out otherwise, such as by a repaired preprocessing, or when parts are laid out anew."""
PART_ROWS = 1024
"""Pictures of one part file; a killed run loses at most so many."""

_ARRAYS = ("contents", "counts", "values")
_log = logging.getLogger(__name__)


class FeatureCache:
    """Rows (k, d) of features by 32 bytes of a sha256, for one origin.

    Nothing of a damaged part is used: its checksum is compared when it is opened, and its features
    are computed anew. Other threads may `get` while one puts and flushes.
    """

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder = folder / f"{origin.digest}-{FORMAT}"
        self._origin = origin
        self._parts: list[Any] = []
        self._where: dict[bytes, tuple[int, int, int]] = {}
        self._fresh: dict[bytes, Array] = {}
        for path in sorted(self.folder.glob("part-*.safetensors")):
            self._open(path)

    def __len__(self) -> int:
        return len(self._where.keys() | self._fresh.keys())

    def get(self, content: bytes) -> Array | None:
        """The features of a content, None if they are not known."""
        fresh = self._fresh.get(content)
        if fresh is not None:
            return fresh
        where = self._where.get(content)
        if where is None:
            return None
        part, start, stop = where
        values: Array = self._parts[part].get_slice("values")[start:stop]
        return values

    def put(self, content: bytes, values: Array) -> None:
        """Keep the features (k, d) of a content."""
        self._fresh[content] = np.asarray(values, np.float32)
        if len(self._fresh) % PART_ROWS == 0:
            self.flush()

    def flush(self) -> None:
        """Write what is not on disk yet, as one more part.

        It stays in memory until that part could be read back.
        """
        fresh = dict(self._fresh)
        if not fresh:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        told = self.folder / "origin.json"
        if not told.exists():
            told.write_text(json.dumps(self._origin.as_dict(), indent=2) + "\n", encoding="utf-8")
        path = self.folder / f"part-{uuid.uuid4().hex}.safetensors"
        partial = path.with_suffix(".partial")
        arrays = _packed(list(fresh), list(fresh.values()))
        try:
            save_file(arrays, partial, metadata={"crc32": _checksum(arrays)})
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        if self._open(path):
            for content in fresh:
                del self._fresh[content]

    def _open(self, path: Path) -> bool:
        """Take in a part; False, with a warning, if it is damaged."""
        try:
            part = safe_open(path, "numpy").__enter__()  # type: ignore[no-untyped-call]
            arrays = {name: part.get_tensor(name) for name in _ARRAYS}
            found, told = _checksum(arrays), (part.metadata() or {}).get("crc32")
        except (OSError, SafetensorError) as error:
            _log.warning("%s is damaged and left aside: %s", path, error)
            return False
        if found != told:
            _log.warning("%s is damaged and left aside: checksum %s, not %s", path, found, told)
            return False
        number = len(self._parts)
        self._parts.append(part)  # first, since other threads look up a row as soon as it is known
        ends = np.cumsum(arrays["counts"])
        for content, count, end in zip(arrays["contents"], arrays["counts"], ends, strict=True):
            self._where[content.tobytes()] = (number, int(end - count), int(end))
        return True


def _checksum(arrays: Mapping[str, Array]) -> str:
    found = 0
    for name in _ARRAYS:
        found = zlib.crc32(np.ascontiguousarray(arrays[name]).data, found)
    return f"{found:08x}"


def _packed(contents: Sequence[bytes], values: Sequence[Array]) -> dict[str, Array]:
    return {
        "contents": np.frombuffer(b"".join(contents), np.uint8).reshape(len(contents), -1),
        "counts": np.array([len(v) for v in values], np.int64),
        "values": np.concatenate(values),
    }
