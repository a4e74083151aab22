"""Shards opened one ahead, so that a remote archive is fetched while the one before is scored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

from beholder._run_folder import Shard

T = TypeVar("T")


class Opening(Generic[T]):
    """Takes shards one by one, in this thread, and opens the next in a thread of its own.

    Whoever reads the rows of one calls `look` meanwhile, so that the next is begun as soon as there
    is one: `shards` may give None for "none yet".
    """

    def __init__(self, shards: Iterable[Shard | None], work: Callable[[Shard], T]) -> None:
        self._shards = iter(shards)
        self._work = work
        self._next: tuple[Shard, Future[T]] | None = None

    def look(self) -> None:
        """Begin to open the next shard, if it is there and nobody has."""
        if self._next is None and (shard := next(self._shards, None)) is not None:
            self._next = shard, self._begun(shard)

    def __iter__(self) -> Iterator[tuple[Shard, Future[T]]]:
        while True:
            self.look()
            if self._next is None:
                return
            taken, self._next = self._next, None
            yield taken

    def _begun(self, shard: Shard) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(self._work(shard))
            except BaseException as error:  # noqa: BLE001  (it is raised where the result is asked)
                future.set_exception(error)

        # A daemon: whoever ends this process need not wait until an archive was fetched.
        threading.Thread(target=run, name="opening", daemon=True).start()
        return future
