"""Kept pictures as webdataset shards: tar files whose samples are read one after another.

A sample is `<key>.<suffix>` with the picture's own bytes, `<key>.txt` with the prompt if there is
one, and `<key>.json` with every column of the table. A key is cut at its first dot by webdataset,
so dots of it are replaced, and the original stands in the JSON. Same rows, same bytes.
"""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from typing_extensions import override

from beholder.eval._outputs.naming import Names, suffix_of
from beholder.eval._outputs.rows import KeptRow, as_json, encoded, writing
from beholder.eval._outputs.writer import PictureWriter


class TarWriter(PictureWriter):
    """Fills `000000.tar`, `000001.tar`, … with `per_shard` samples each."""

    def __init__(self, folder: Path, *, per_shard: int) -> None:
        self._folder, self._per_shard = folder, per_shard
        self._tar: tarfile.TarFile | None = None
        self._file: BinaryIO | None = None
        self._names = Names(dots=False)
        self._samples = 0

    @override
    def add(self, row: KeptRow) -> str:
        """Where the picture is, "<shard>/<member>"; ImageError if it is gone."""
        data = encoded(row.source)
        suffix = suffix_of(row.image, data).lower() or ".bin"
        with writing(self._folder):
            tar = self._shard()
            stem = self._stem(row.key)
            _put(tar, stem + suffix, data)
            if row.prompt is not None:
                _put(tar, f"{stem}.txt", row.prompt.encode("utf-8", "surrogateescape"))
            _put(tar, f"{stem}.json", as_json(row.columns).encode("utf-8", "surrogatepass"))
        self._samples += 1
        return f"{self.files - 1:06d}.tar/{stem}{suffix}"

    @override
    def close(self) -> None:
        """End the last shard."""
        if self._tar is not None:
            with writing(self._folder):
                self._tar.close()
        self.abandon()

    @override
    def abandon(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk, which `writing` has told of
                self._file.close()
        self._tar = self._file = None

    def _stem(self, key: str) -> str:
        suffix = suffix_of(key, b"")
        # names of both ends with "__" are webdataset's own
        stem = key.removesuffix(suffix)
        return self._names.stem(stem.strip("_") if stem.startswith("__") else stem, "")

    def _shard(self) -> tarfile.TarFile:
        if self._tar is None or self._samples == self._per_shard:
            self.close()
            self._file = (self._folder / f"{self.files:06d}.tar").open("xb")
            self._tar = tarfile.TarFile(fileobj=self._file, mode="w", format=tarfile.GNU_FORMAT)
            self._names, self._samples = Names(dots=False), 0
            self.files += 1
        return self._tar


def _put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # time, owner and group are 0
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))
