"""Pictures decoded and shrunk in threads ahead of the models that score them, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from beholder._ahead import AHEAD_BYTES, ahead
from beholder.errors import ImageError
from beholder.images import Alpha, ImageSource, read_each
from beholder.inputs import Row
from beholder.rewards._base import shrunk
from beholder.rewards._preprocess import Fitting

READ_AHEAD_BYTES = AHEAD_BYTES
"""Decoded pictures that wait for the model take about this much memory at most."""


@dataclass(frozen=True, slots=True)
class Task:
    """A row and the rewards that have not scored it."""

    row: Row
    rewards: frozenset[str]


Views = Mapping[Fitting | None, Tensor]
"""One picture as the rewards want it: shrunk by each distinct `Reward.fitting`, or whole."""

Decoded = tuple[Task, Views | ImageError]


def decoded(
    tasks: Iterable[Task],
    alpha: Alpha,
    batch_size: int,
    fittings: Mapping[str, Fitting | None],
) -> Iterator[Decoded]:
    """Tasks with their pictures, in order; threads decode the next while a model works.

    `fittings` maps each reward to what may shrink its pictures; a picture is decoded once for all.
    """

    def work(task: Task) -> Views | ImageError:
        return _decode(task.row.image, alpha, {fittings[name] for name in task.rewards})

    return ahead(work, tasks, most=batch_size, size=_bytes, memory=READ_AHEAD_BYTES)


def _bytes(picture: Views | ImageError) -> int:
    return 0 if isinstance(picture, ImageError) else sum(v.nbytes for v in picture.values())


def _decode(
    image: ImageSource | None, alpha: Alpha, fittings: Collection[Fitting | None]
) -> Views | ImageError:
    if image is None:
        return ImageError("no-picture", "the manifest names no picture in this row")

    def views(picture: Tensor) -> Views:
        return {fitting: shrunk(picture, fitting) for fitting in fittings}

    return read_each([image], views, alpha=alpha, threads=1)[0]


def batches(pictures: Iterable[Decoded], size: int) -> Iterator[list[Decoded]]:
    """Lists of up to `size` pictures, fewer where they are so large that memory would suffer."""
    batch: list[Decoded] = []
    memory = 0
    for task, picture in pictures:
        batch.append((task, picture))
        memory += _bytes(picture)
        if len(batch) == size or memory > READ_AHEAD_BYTES:
            yield batch
            batch, memory = [], 0
    if batch:
        yield batch
