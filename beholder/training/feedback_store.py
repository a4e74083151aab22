"""Feedback made ready once: pictures and maps at the model's own sides, in files on the disk.

16,000 pictures with two maps are 8 GB in memory at the size of RichHF-18K, and decoding a picture
takes as long as a small model learns from it. So each is decoded, resized as the model wants it and
appended as 8-bit levels to a file; rows are read back through the page cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

from beholder.errors import DataError, ImageError
from beholder.images import read_images
from beholder.rewards import Reward
from beholder.rewards._base import prompt_fault
from beholder.training.fit.checkpoints import write_text
from beholder.training.judged.data import Dropped
from beholder.training.towers.pictures import CHUNK
from beholder.types import MAPS, RATED, Feedback
from beholder.words import word_spans

_PICTURES, _MAPS, _INDEX = "pictures.u8", "maps.u8", "index.json"


@dataclass(frozen=True, slots=True)
class Example:
    """What is to be learned of one picture, aside from its pixels and maps.

    Attributes:
        row: its place in the store.
        key, prompt: the feedback's.
        values: aspect of `RATED` -> rating; absent if nobody rated it.
        maps: which kinds of `MAPS` were drawn.
        words: for each word of `word_spans(prompt)` the share of annotators who say it is missed;
            empty if nobody was asked.
    """

    row: int
    key: str
    prompt: str
    values: Mapping[str, float]
    maps: Sequence[str]
    words: Sequence[float]


class FeedbackStore:
    """Prepared feedback in a folder.

    Attributes:
        examples: what can be learned from.
        dropped: what cannot, with the reason; also records that lost their words only.
        ratings: mean of each aspect's ratings.

    Raises DataError if the folder is not whole; see `prepare`.
    """

    def __init__(self, folder: Path) -> None:
        index = _index(folder)
        self.examples = [Example(**entry) for entry in index["examples"]]
        self.dropped = [Dropped(**entry) for entry in index["dropped"]]
        self._pictures = _open(folder / _PICTURES, (3, *index["picture"]))
        self._maps = _open(folder / _MAPS, (len(MAPS), *index["map"]))

    def pictures(self, rows: Sequence[int]) -> UInt8[Tensor, "b 3 s t"]:
        """Pictures as the model is to see them, before its normalisation."""
        return torch.from_numpy(self._pictures[list(rows)])

    def maps(self, rows: Sequence[int]) -> UInt8[Tensor, "b k m m"]:
        """Maps in the order of `MAPS`; empty where none was drawn."""
        return torch.from_numpy(self._maps[list(rows)])


def prepare(records: Iterable[Feedback], folder: Path, reward: Reward, map_side: int) -> None:
    """Write records for `FeedbackStore`, whole or again from the start.

    A record that cannot be used is dropped: its prompt or picture cannot be read, or it tells
    nothing. One whose words are not those of its prompt loses them. Both are told.
    """
    if (folder / _INDEX).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files = [stack.enter_context((folder / name).open("wb")) for name in (_PICTURES, _MAPS)]
        writer = _Writer(files[0], files[1], reward, map_side)
        for chunk in _chunks(records):
            writer.add(chunk)
    write_text(folder / _INDEX, json.dumps(writer.index()))


class _Writer:
    """Appends records to the two files."""

    def __init__(self, pictures: BinaryIO, maps: BinaryIO, reward: Reward, map_side: int) -> None:
        self._files = (pictures, maps)
        self._reward = reward
        self._side = map_side
        bounds = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
        bounds[1] = 255
        prepared = reward.preprocess(bounds)
        self._black, self._white = prepared[0], prepared[1]
        self._examples: list[Example] = []
        self._dropped: list[Dropped] = []

    def add(self, records: Sequence[Feedback]) -> None:
        """The records of one chunk, those aside that cannot be used."""
        usable = [record for record in records if self._is_usable(record)]
        read = read_images([record.image for record in usable])
        for record, picture in zip(usable, read, strict=True):
            if isinstance(picture, ImageError):
                self._drop(record, f"{picture.code}: {picture}")
            else:
                self._keep(record, picture)

    def index(self) -> dict[str, object]:
        """What `FeedbackStore` reads first."""
        return {
            "picture": list(self._black.shape[1:]),
            "map": [self._side, self._side],
            "examples": [asdict(example) for example in self._examples],
            "dropped": [asdict(dropped) for dropped in self._dropped],
        }

    def _is_usable(self, record: Feedback) -> bool:
        if why := prompt_fault(record.prompt):
            self._drop(record, f"prompt: {why}")
            return False
        known = (RATED, record.values), (MAPS, record.maps)
        if not record.words and not any(set(names) & set(told) for names, told in known):
            self._drop(record, "nothing-told: no rating, map or word of RichHF")
            return False
        return True

    def _keep(self, record: Feedback, picture: Tensor) -> None:
        words = word_shares(record)
        if words is None:
            self._drop(record, "words-unlike-prompt: the record is used without its words")
        values = {a: record.values[a] for a in RATED if a in record.values}
        kinds = [kind for kind in MAPS if kind in record.maps]
        row = len(self._examples)
        self._examples.append(Example(row, record.key, record.prompt, values, kinds, words or ()))
        empty = torch.zeros(self._side, self._side, dtype=torch.uint8)
        maps = [resized(record.maps[k], self._side) if k in kinds else empty for k in MAPS]
        for file, levels in zip(
            self._files, (self._levels(picture), torch.stack(maps)), strict=True
        ):
            file.write(levels.numpy().tobytes())

    def _levels(self, picture: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "3 s t"]:
        """The picture after the model's resize and before its normalisation, which is affine."""
        values: Tensor = self._reward.preprocess(picture[None])[0]
        shares = (values - self._black) / (self._white - self._black)
        return (shares * 255).round().to(torch.uint8)

    def _drop(self, record: Feedback, reason: str) -> None:
        self._dropped.append(Dropped(record.key, reason))


def resized(grey: UInt8[Tensor, "h w"], side: int) -> UInt8[Tensor, "side side"]:
    """A map stretched to the model's square, bilinear and antialiased as pictures are."""
    size = (side, side)
    stretched = functional.interpolate(grey[None, None], size, mode="bilinear", antialias=True)
    return stretched[0, 0]


def word_shares(record: Feedback) -> tuple[float, ...] | None:
    """The share of annotators who miss each word of `word_spans(prompt)`; None if unlike it.

    A labelled word that is several of these gives its share to each; of several labelled words
    that are one of these the highest counts. Empty if no word is labelled.
    """
    if not record.words:
        return ()
    at = {k: word.p_misaligned for word in record.words for k in range(word.start, word.end)}
    shares = [[at.get(k) for k in range(*span)] for span in word_spans(record.prompt)]
    known = [[share for share in word if share is not None] for word in shares]
    if list(map(len, known)) != list(map(len, shares)):
        return None
    return tuple(map(max, known))


def _chunks(records: Iterable[Feedback]) -> Iterator[list[Feedback]]:
    from tqdm import tqdm  # noqa: PLC0415

    shown = iter(tqdm(records, desc="preparing", unit="record", disable=None))
    while chunk := list(islice(shown, CHUNK)):
        yield chunk


def _index(folder: Path) -> Any:
    try:
        return json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no prepared feedback ({error}); delete it") from error


def _open(path: Path, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    if not path.stat().st_size:
        return np.zeros((0, *shape), np.uint8)
    return np.memmap(path, np.uint8, mode="r").reshape(-1, *shape)
