"""Pictures decoded in threads ahead of the model that scores them, in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from torch import Tensor

from beholder.errors import ImageError
from beholder.images import Alpha, ImageSource, read_images
from beholder.inputs import Row

READ_AHEAD_BYTES = 512 * 2**20
"""Decoded pictures that wait for the model take about this much memory at most."""


@dataclass(frozen=True, slots=True)
class Task:
    """A row and the rewards that have not scored it."""

    row: Row
    rewards: frozenset[str]


Decoded = tuple[Task, Tensor | ImageError]


def decoded(tasks: Iterable[Task], alpha: Alpha, batch_size: int) -> Iterator[Decoded]:
    """Tasks with their pictures, in order; threads decode the next while a model works."""
    threads = min(16, os.cpu_count() or 1)
    waiting: deque[tuple[Task, Future[Tensor | ImageError]]] = deque()
    ahead = batch_size + threads
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        for task in tasks:
            waiting.append((task, pool.submit(_decode, task.row.image, alpha)))
            while len(waiting) > ahead:
                done, future = waiting.popleft()
                picture = future.result()
                ahead = _ahead(picture, batch_size, threads)
                yield done, picture
        yield from ((done, future.result()) for done, future in waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _ahead(picture: Tensor | ImageError, batch_size: int, threads: int) -> int:
    size = picture.nbytes if isinstance(picture, Tensor) else 1
    return min(batch_size + threads, max(threads, READ_AHEAD_BYTES // max(1, size)))


def _decode(image: ImageSource | None, alpha: Alpha) -> Tensor | ImageError:
    if image is None:
        return ImageError("no-picture", "the manifest names no picture in this row")
    return read_images([image], alpha=alpha, threads=1)[0]


def batches(pictures: Iterable[Decoded], size: int) -> Iterator[list[Decoded]]:
    """Lists of up to `size` pictures, fewer where they are so large that memory would suffer."""
    batch: list[Decoded] = []
    memory = 0
    for task, picture in pictures:
        batch.append((task, picture))
        memory += picture.nbytes if isinstance(picture, Tensor) else 0
        if len(batch) == size or memory > READ_AHEAD_BYTES:
            yield batch
            batch, memory = [], 0
    if batch:
        yield batch
