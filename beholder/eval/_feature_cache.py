"""Features kept by the content of the picture or video that they are of.

A folder for each origin of features holds part files, each written whole: what an interrupted run
has done stays done, and several processes may fill one folder.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from beholder.eval._features import Array
from beholder.eval._origin import Origin

PART_ROWS = 1024
"""Pictures of one part file; a killed run loses at most so many."""

_log = logging.getLogger(__name__)


class FeatureCache:
    """Rows (k, d) of features by 32 bytes of a sha256, for one origin.

    Nothing of a damaged part is used: its features are computed anew.
    """

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder = folder / origin.digest
        self._origin = origin
        self._parts: list[Any] = []
        self._where: dict[bytes, tuple[int, int, int]] = {}
        self._fresh: dict[bytes, Array] = {}
        for path in sorted(self.folder.glob("part-*.safetensors")):
            self._open(path)

    def __len__(self) -> int:
        return len(self._where) + len(self._fresh)

    def get(self, content: bytes) -> Array | None:
        """The features of a content, None if they are not known."""
        if content in self._fresh:
            return self._fresh[content]
        if content not in self._where:
            return None
        part, start, stop = self._where[content]
        values: Array = self._parts[part].get_slice("values")[start:stop]
        return values

    def put(self, content: bytes, values: Array) -> None:
        """Keep the features (k, d) of a content."""
        self._fresh[content] = np.asarray(values, np.float32)
        if len(self._fresh) >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is not on disk yet, as one more part."""
        if not self._fresh:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        told = self.folder / "origin.json"
        if not told.exists():
            told.write_text(json.dumps(self._origin.as_dict(), indent=2) + "\n", encoding="utf-8")
        path = self.folder / f"part-{uuid.uuid4().hex}.safetensors"
        partial = path.with_suffix(".partial")
        save_file(_packed(list(self._fresh), list(self._fresh.values())), partial)
        partial.replace(path)
        self._fresh = {}
        self._open(path)

    def _open(self, path: Path) -> None:
        try:
            part = safe_open(path, "numpy").__enter__()  # type: ignore[no-untyped-call]
            contents, counts = part.get_tensor("contents"), part.get_tensor("counts")
            ends = np.cumsum(counts)
        except (OSError, SafetensorError) as error:
            _log.warning("%s is damaged and left aside: %s", path, error)
            return
        for content, count, end in zip(contents, counts, ends, strict=True):
            self._where[content.tobytes()] = (len(self._parts), int(end - count), int(end))
        self._parts.append(part)


def _packed(contents: Sequence[bytes], values: Sequence[Array]) -> dict[str, Array]:
    return {
        "contents": np.frombuffer(b"".join(contents), np.uint8).reshape(len(contents), -1),
        "counts": np.array([len(v) for v in values], np.int64),
        "values": np.concatenate(values),
    }
