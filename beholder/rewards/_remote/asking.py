"""Pictures to a server and what it says of them: bounded requests, several at once, one model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from beholder.errors import BeholderError, ServerError
from beholder.rewards._remote.answers import Row, fault, rows_of
from beholder.rewards._remote.identity import CHANGED, HEADER, difference, digest_of, digests_in
from beholder.rewards._remote.pixels import Raw
from beholder.rewards._remote.retries import Retries
from beholder.rewards._remote.served import Served, served_of
from beholder.rewards._remote.session import Part, Session

IN_FLIGHT = 4
"""Requests that are under way at once."""

MOST_PICTURES = 16
MOST_BYTES = 8 * 2**20
"""Of one request; a picture that is larger travels alone."""

_ASKED_AGAIN = 3
_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks for the scores of one served reward; may be used by several threads.

    Attributes:
        session: a client of the server.
        served: the reward; if the server goes over to other weights nothing is scored any more.
    """

    session: Session
    served: Served

    def rows(self, pictures: Sequence[Raw], prompts: Sequence[str]) -> list[Row]:
        """What the server says of each picture with its prompt, in order.

        Raises ServerError if the server gives no answer, or one of another model.
        """
        batches = shares([len(picture.data) for picture in pictures])
        stop = threading.Event()
        if len(batches) == 1:
            return self._rows(pictures, prompts, stop)
        pool = ThreadPoolExecutor(min(IN_FLIGHT, len(batches)), "remote")
        try:
            tasks = [
                pool.submit(self._rows, pictures[k:end], prompts[k:end], stop) for k, end in batches
            ]
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            for task in done:
                task.result()  # raises what the first to fail raised
            return [row for task in tasks for row in task.result()]
        finally:  # what is still under way is of no use to anybody
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _rows(
        self, pictures: Sequence[Raw], prompts: Sequence[str], stop: threading.Event
    ) -> list[Row]:
        """Those of one request; what is too much for the server goes in two halves."""
        try:
            return self._answered(pictures, prompts, stop)
        except ServerError as error:
            if error.status != _TOO_LARGE:
                raise
            if len(pictures) == 1:
                return [fault(error.code or "too-large", str(error))]
        half = len(pictures) // 2
        first = self._rows(pictures[:half], prompts[:half], stop)
        return first + self._rows(pictures[half:], prompts[half:], stop)

    def _answered(
        self, pictures: Sequence[Raw], prompts: Sequence[str], stop: threading.Event
    ) -> list[Row]:
        parts, said = self._parts(pictures, prompts), ""
        for _ in range(_ASKED_AGAIN):
            reply = self.session.post("/v1/score", parts, stop)
            said = digests_in(reply.headers.get(HEADER.lower())).get(self.served.name, "")
            if said != CHANGED:
                break
        if said != digest_of(self.served.identity):
            raise ServerError(self._strange(said))
        return rows_of(reply.body, self.served, len(pictures))

    def _strange(self, said: str) -> str:
        where = f"{self.session.address.base}/{self.served.name}"
        if not said:
            return f"{where} does not say what it scores with; it may need a newer beholder"
        return (
            f"{where} scores with other weights or another version since this reward was loaded "
            f"({self._changes(said)}); nothing was mixed: load "
            "it again, and score anew what was scored before"
        )

    def _changes(self, said: str) -> str:
        """What the server has now, if it still tells; else the digest that came with the answer."""
        mine, now = self.served.identity, {}
        once = replace(self.session, retries=Retries(patience=0.0))
        try:
            told = served_of(once.get("/v1/rewards", absent=0.0).body, self.served.card)
            now = {one.name: one.identity for one in told}
        except BeholderError:
            pass  # it is asked for a better message alone
        theirs = now.get(self.served.name, {})
        found = difference(mine, theirs) if digest_of(theirs) == said else ""
        return found or difference({"identity": digest_of(mine)}, {"identity": said})

    def _parts(self, pictures: Sequence[Raw], prompts: Sequence[str]) -> list[Part]:
        texts = prompts if self.served.card.needs_prompt else ()
        return [
            ("reward", _text(self.served.name)),
            *(("detail", _text(detail)) for detail in self.served.details),
            *(("prompt", _text(text)) for text in texts),
            *(("image", ("pixels", p.data, p.content_type)) for p in pictures),
        ]


def shares(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Pictures of these bytes as requests, each from where to where.

    About as many to each request in flight, within the bounds.

    >>> shares([1] * 10)
    [(0, 3), (3, 6), (6, 9), (9, 10)]
    """
    most = min(MOST_PICTURES, -(-len(sizes) // IN_FLIGHT))
    found, start, held = [], 0, 0
    for at, size in enumerate(sizes):
        if at > start and (at - start == most or held + size > MOST_BYTES):
            found.append((start, at))
            start, held = at, 0
        held += size
    return [*found, (start, len(sizes))]


def _text(text: str) -> tuple[None, bytes, str]:
    return None, text.encode(), "text/plain; charset=utf-8"
