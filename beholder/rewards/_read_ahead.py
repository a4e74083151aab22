"""Pictures decoded and shrunk in threads ahead of the models that score them, in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from torch import Tensor

from beholder.errors import ImageError
from beholder.images import Alpha, ImageSource, read_each
from beholder.inputs import Row
from beholder.rewards._base import shrunk
from beholder.rewards._preprocess import Fitting

READ_AHEAD_BYTES = 512 * 2**20
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
    threads = min(16, os.cpu_count() or 1)
    waiting: deque[tuple[Task, Future[Views | ImageError]]] = deque()
    ahead = batch_size + threads
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        for task in tasks:
            wanted = {fittings[name] for name in task.rewards}
            waiting.append((task, pool.submit(_decode, task.row.image, alpha, wanted)))
            while len(waiting) > ahead:
                done, future = waiting.popleft()
                picture = future.result()
                ahead = _ahead(picture, batch_size, threads)
                yield done, picture
        yield from ((done, future.result()) for done, future in waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _ahead(picture: Views | ImageError, batch_size: int, threads: int) -> int:
    return min(batch_size + threads, max(threads, READ_AHEAD_BYTES // max(1, _bytes(picture))))


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
