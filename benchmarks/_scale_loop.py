"""A plain loop over archives in one process: what an engine is measured against.

    python -m benchmarks._scale_loop TARS OUT

It decodes in threads ahead of the model, in the same batches as an engine's worker, and writes one
parquet file an archive. It plans nothing, notes nothing, and cannot go on where it was killed.
"""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

import beholder
from beholder._ahead import ahead
from beholder.errors import ImageError
from beholder.images import read_each
from beholder.rewards import Reward
from beholder.rewards._base import shrunk

BATCH = 32


@dataclass(frozen=True)
class Item:
    """One picture as it lies in an archive."""

    key: str
    file: bytes
    prompt: str


def main() -> None:
    tars, out = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    out.mkdir(parents=True)
    reward = beholder.load("tiny").eval()
    with torch.no_grad():
        for tar in sorted(tars.glob("*.tar")):
            pq.write_table(_scored(tar, reward), out / f"{tar.stem}.parquet", compression="zstd")


def _scored(tar: Path, reward: Reward) -> pa.Table:
    def decode(item: Item) -> Tensor | ImageError:
        return read_each([item.file], lambda picture: shrunk(picture, reward.fitting), threads=1)[0]

    columns: dict[str, list[object]] = {}
    batch: list[tuple[Item, Tensor | ImageError]] = []
    for pair in ahead(decode, _items(tar), most=BATCH, size=lambda picture: 0):
        batch.append(pair)
        if len(batch) == BATCH:
            _add(columns, reward, batch)
            batch = []
    if batch:
        _add(columns, reward, batch)
    return pa.table(columns)


def _add(
    columns: dict[str, list[object]],
    reward: Reward,
    batch: Sequence[tuple[Item, Tensor | ImageError]],
) -> None:
    items = [item for item, _ in batch]
    scores = reward.score_rows([picture for _, picture in batch], [item.prompt for item in items])
    parts = {"key": [item.key for item in items], "prompt": [item.prompt for item in items]}
    parts |= {"total": scores.total.tolist()}
    parts |= {aspect: values.tolist() for aspect, values in scores.aspects.items()}
    for name, values in parts.items():
        columns.setdefault(name, []).extend(values)


def _items(path: Path) -> Iterator[Item]:
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar}
        for name, member in members.items():
            if name.endswith(".jpg"):
                text = members[name.removesuffix(".jpg") + ".txt"]
                yield Item(name, _read(tar, member), _read(tar, text).decode())


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    return cast("IO[bytes]", tar.extractfile(member)).read()


if __name__ == "__main__":
    main()
