"""Pictures decoded and shrunk in threads ahead of the models that score them, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from beholder._ahead import AHEAD_BYTES, ahead
from beholder.errors import ImageError
from beholder.images import Alpha, read_each
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
        return decode(task, alpha, fittings)

    return ahead(work, tasks, most=batch_size, size=picture_bytes, memory=READ_AHEAD_BYTES)


def decode(task: Task, alpha: Alpha, fittings: Mapping[str, Fitting | None]) -> Views | ImageError:
    """The picture of a row, shrunk once by each fitting of the rewards that lack it, or why not."""
    if task.row.image is None:
        return ImageError("no-picture", "the manifest names no picture in this row")
    wanted = {fittings[name] for name in task.rewards}

    def views(picture: Tensor) -> Views:
        return {fitting: shrunk(picture, fitting) for fitting in wanted}

    return read_each([task.row.image], views, alpha=alpha, threads=1)[0]


def picture_bytes(picture: Views | ImageError) -> int:
    """Memory that a decoded picture takes."""
    return 0 if isinstance(picture, ImageError) else sum(v.nbytes for v in picture.values())


@dataclass(slots=True)
class Batch:
    """Pictures that one pass of a model takes: `size`, fewer if they are too large for memory."""

    size: int
    pictures: list[Decoded] = field(default_factory=list)
    memory: int = 0

    @property
    def is_full(self) -> bool:
        """Whether no further picture may be added."""
        return len(self.pictures) >= self.size or self.memory > READ_AHEAD_BYTES

    def add(self, picture: Decoded) -> None:
        """Put one more picture into the batch."""
        self.pictures.append(picture)
        self.memory += picture_bytes(picture[1])


def batches(pictures: Iterable[Decoded], size: int) -> Iterator[list[Decoded]]:
    """Lists of up to `size` pictures, fewer where they are so large that memory would suffer."""
    batch = Batch(size)
    for picture in pictures:
        batch.add(picture)
        if batch.is_full:
            yield batch.pictures
            batch = Batch(size)
    if batch.pictures:
        yield batch.pictures
