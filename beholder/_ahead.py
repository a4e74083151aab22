"""Work that threads do ahead of its use: in order, and in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD_BYTES = 512 * 2**20
"""Results that wait to be used take about this much memory at most."""


def ahead(
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    most: int,
    size: Callable[[R], int],
    threads: int | None = None,
    memory: int = AHEAD_BYTES,
) -> Iterator[tuple[T, R]]:
    """Each item with what `work` made of it, in order; threads make the next while one is used.

    Args:
        work: runs in a thread; what it raises, this raises.
        items: taken one by one, never more of them than may wait.
        most: results that may wait, beside those in the making.
        size: bytes of a result; while results are large, fewer wait, about `memory` together.
        threads: how many; None takes min(16, CPU count).
        memory: in bytes.
    """
    workers = threads or min(16, os.cpu_count() or 1)
    waiting: deque[tuple[T, Future[R]]] = deque()
    limit = most + workers
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            while len(waiting) > limit:
                done, future = waiting.popleft()
                result = future.result()
                limit = min(most + workers, max(1, memory // max(1, size(result))))
                yield done, result
        yield from ((done, future.result()) for done, future in waiting)
    finally:
        pool.shutdown(cancel_futures=True)
