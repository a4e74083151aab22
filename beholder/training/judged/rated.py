"""Ratings: pictures with a number for each aspect, read from anywhere, and dealt out in batches."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import cast

import torch

from beholder.annotation.joining.feedback import holds_feedback, read_feedback
from beholder.annotation.records.embedding import unpack_picture
from beholder.errors import DataError, ImageError
from beholder.images import ImageSource
from beholder.inputs import Row, read_inputs
from beholder.rewards._base import distinct, prompt_fault
from beholder.training.judged.data import Batch, Dropped
from beholder.training.judged.epochs import Epochs
from beholder.training.judged.prompts import by_prompt
from beholder.types import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """What people, taken together, say of one picture in numbers of any scale.

    Attributes:
        key: names the rating.
        prompt: what the picture was made for; "" if it has none.
        image: path of the picture; "" if the row names none.
        values: aspect -> number; higher is better.
        faults: aspect -> what stands there in place of a number.
    """

    key: str
    prompt: str
    image: str
    values: Mapping[str, float]
    faults: Mapping[str, str] = field(default_factory=dict)


def read_rated(source: str | os.PathLike[str], unpacked: Path | None = None) -> list[Rated]:
    """The ratings of a source, also those that cannot be used.

    Args:
        source: folder of feedback as `annotation.joining.feedback.write_feedback` writes it; or
            what `beholder.inputs.read_inputs` takes, with a column for each aspect.
        unpacked: where pictures that a parquet file embeds are written, named by their content; by
            default the folder `pictures` beside it.

    Raises DataError if there is no such source or it is malformed.
    """
    path = Path(source)
    if path.is_dir() and holds_feedback(path):
        return [
            Rated(key=f.key, prompt=f.prompt, image=f.image, values=f.values)
            for f in read_feedback(path, pictures=unpacked)
        ]
    place = unpacked or (path if path.is_dir() else path.parent) / "pictures"
    return [_rated(row, place) for row in read_inputs(source)]


def usable_ratings(
    rated: Sequence[Rated],
    aspects: Collection[str],
    unreadable: Mapping[str, str],
    *,
    needs_prompt: bool,
) -> tuple[list[Rated], list[Dropped]]:
    """Ratings that can be learned from, and the others with the reason.

    `unreadable` says of each picture that cannot be read why. Raises DataError if there are ratings
    but none of the aspects is among their columns.
    """
    known = dict.fromkeys(name for one in rated for name in (*one.values, *one.faults))
    if rated and not known.keys() & set(aspects):
        raise DataError(
            f"the ratings have none of the columns {', '.join(aspects)}; "
            f"they have {', '.join(known) or 'no further ones'}"
        )
    kept, dropped = [], []
    for one in rated:
        if why := _fault(one, aspects, unreadable, needs_prompt=needs_prompt):
            dropped.append(Dropped(one.key, why))
        else:
            kept.append(one)
    return kept, dropped


def make_batch(
    rated: Sequence[Rated], aspects: Collection[str], weights: Sequence[float] | None = None
) -> Batch:
    """The ratings as one batch, a row each; of their numbers, those of `aspects`.

    `weights` say how much each counts; None counts each once.
    """
    pictures, picture_rows = distinct([one.image for one in rated])
    prompts, prompt_rows = distinct([one.prompt for one in rated])
    each = torch.ones(len(rated)) if weights is None else torch.tensor(weights)
    targets = {}
    for aspect in sorted(aspects):
        rows = [k for k, one in enumerate(rated) if aspect in one.values]
        values = torch.tensor([rated[k].values[aspect] for k in rows], dtype=torch.float32)
        if rows:
            targets[aspect] = Targets(torch.tensor(rows), values, each[rows])
    return Batch(tuple(pictures), tuple(prompts), picture_rows, prompt_rows, targets=targets)


class RatingStream:
    """An endless stream of batches, each a pure function of its number and the seed.

    Every epoch visits each rating once; those of one prompt stay together, but never fill more than
    half a batch at a stretch.

    Args:
        rated: the ratings.
        aspects: whose numbers to take.
        size: ratings in a batch; the last one of an epoch may hold fewer.
        seed: of the order.
        weights: how much each counts; None counts each once.
    """

    def __init__(
        self,
        rated: Sequence[Rated],
        aspects: Collection[str],
        size: int,
        seed: int,
        *,
        weights: Sequence[float] | None = None,
    ) -> None:
        groups = by_prompt(rated, range(len(rated)), max(1, size // 2))
        # Pictures without a prompt have nothing in common.
        units = [[k] for g in groups for k in g] if not any(r.prompt for r in rated) else groups
        self._rated = rated
        self._aspects = frozenset(aspects)
        self._weights = weights
        self._epochs = Epochs(units, size, seed)

    def batch(self, number: int) -> Batch:
        """Batch `number` of the stream, from 0."""
        rows = self._epochs.rows(number)
        weights = None if self._weights is None else [self._weights[k] for k in rows]
        return make_batch([self._rated[k] for k in rows], self._aspects, weights)

    def batches(self, start: int, stride: int) -> Iterator[Batch]:
        """Batches start, start + stride, … without end: the share of one of `stride` processes."""
        return map(self.batch, count(start, stride))


def _rated(row: Row, unpacked: Path) -> Rated:
    values, faults = {}, {}
    for name, cell in row.extra.items():
        if cell is None or cell == "":
            continue
        number = _number(cell)
        if math.isfinite(number):
            values[name] = number
        else:
            faults[name] = str(cell)
    image = _picture(row.image, row.key, unpacked)
    return Rated(key=row.key, prompt=row.prompt or "", image=image, values=values, faults=faults)


def _number(cell: object) -> float:
    """The number that a cell holds, NaN if it holds none."""
    if isinstance(cell, bool) or not isinstance(cell, (str, int, float)):
        return math.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.nan


def _picture(image: ImageSource | None, key: str, unpacked: Path) -> str:
    """The path of a row's picture, "" if there is none; embedded ones are unpacked."""
    if image is None or isinstance(image, ImageError):
        return ""
    if isinstance(image, bytes):
        return unpack_picture({"bytes": image, "path": key}, unpacked)
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(cast("str", image))
    raise DataError(
        f"{key}: ratings are read with pictures in files, got a {type(image).__name__}; "
        "write the pictures to files and name them in the manifest"
    )


def _fault(
    one: Rated, aspects: Collection[str], unreadable: Mapping[str, str], *, needs_prompt: bool
) -> str | None:
    for aspect in sorted(one.faults.keys() & set(aspects)):
        return f"value: {aspect} is {one.faults[aspect]!r}, expected a finite number"
    if not one.values.keys() & set(aspects):
        return f"no-answer: none of {', '.join(sorted(aspects))} was rated"
    if not one.image:
        return "picture: the row names no picture that can be read"
    if needs_prompt and not one.prompt:
        return "prompt: the picture has none, and the reward reads it"
    if why := prompt_fault(one.prompt):
        return f"prompt: {why}"
    return unreadable.get(one.image)
