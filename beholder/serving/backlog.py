"""What a worker has in hand: which picture is decoded next, and which batch is scored next.

Pictures are decoded in the order in which they came, while there is memory for them. Rewards take
turns, so that many items for one do not hold up another's; of one reward the oldest items go first.
Nothing here runs, waits or locks: its owner does, and calls from one thread at a time.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from torch import Tensor

from beholder._ahead import AHEAD_BYTES
from beholder.rewards._preprocess import Fitting
from beholder.serving.decoding import Decoded
from beholder.serving.items import Answer, Detail, Fault, Picture, Scored

BATCH_BYTES = 128 * 2**20
"""Pictures of a batch take about this much at most, counted for each item that shows them.

A reward that sees whole pictures makes several times as much of them.
"""

Finished = list[tuple[int, Answer]]
"""Items that are in hand no more: their numbers and answers."""

_Fittings = frozenset[Fitting | None]


@dataclass(eq=False, slots=True, kw_only=True)
class Ticket:
    """An item in hand.

    Attributes:
        since: when it came.
        faults, scores: of the rewards that are done with it.
        parts: of the rewards that are not.
    """

    id: int
    prompt: str
    detail: frozenset[Detail]
    since: float
    faults: dict[str, Fault] = field(default_factory=dict)
    scores: dict[str, Scored] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    is_cancelled: bool = False


@dataclass(eq=False, slots=True, kw_only=True, weakref_slot=True)
class Shared:
    """A picture that one or more items show; it is decoded once for all of them.

    Attributes:
        fittings: of the rewards that want it.
        memory: bytes that decoding it takes, then those of its views; they count from its start.
        parts: that wait for it to be decoded.
        users: parts that wait for a batch, or are in one.
    """

    picture: Picture
    fittings: _Fittings
    memory: int
    state: Literal["waiting", "decoding", "decoded"] = "waiting"
    views: Mapping[Fitting | None, Tensor] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)
    parts: list[Part] = field(default_factory=list)
    users: int = 0


@dataclass(eq=False, slots=True, kw_only=True)
class Part:
    """What one reward is to say of one item."""

    ticket: Ticket
    reward: str
    shared: Shared
    state: Literal["waiting", "ready", "running", "done"] = "waiting"


class Backlog:
    """Items between being asked and answered.

    Args:
        fittings: reward -> what may shrink its pictures.
        room: bytes that pictures take together, in the making or waiting for a model; one that is
            larger is taken alone.
    """

    def __init__(self, fittings: Mapping[str, Fitting | None], room: int = AHEAD_BYTES) -> None:
        self._fittings, self._room = fittings, room
        self._memory = 0
        self._order = itertools.count()
        self._turns = list(fittings)
        self._tickets: dict[int, Ticket] = {}
        self._pictures: dict[tuple[Picture, _Fittings], Shared] = {}
        self._undecoded: deque[Shared] = deque()
        self._ready: dict[str, list[tuple[float, int, Part]]] = {name: [] for name in fittings}

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def memory(self) -> int:
        """Bytes that pictures take now."""
        return self._memory

    def add(self, ticket: Ticket, picture: Picture, rewards: Sequence[str], memory: int) -> None:
        """Take an item for one or more rewards; decoding its picture takes `memory` bytes."""
        shared = self._shared(picture, frozenset(self._fittings[name] for name in rewards), memory)
        ticket.parts = [Part(ticket=ticket, reward=name, shared=shared) for name in rewards]
        self._tickets[ticket.id] = ticket
        shared.parts += ticket.parts
        if shared.state == "decoded":
            self._make_ready(shared)

    def cancel(self, number: int) -> Finished:
        """Nobody waits for that item: it leaves, but for what a thread works on just now.

        A thread that hangs can thus be told by the items that do not leave.
        """
        ticket = self._tickets.get(number)
        if ticket is None:
            return []
        ticket.is_cancelled = True
        for part in [part for part in ticket.parts if not _is_worked_on(part)]:
            if part.state == "waiting":
                self._forsake(part)
            else:
                self._unready(part)
            part.state = "done"
            ticket.parts.remove(part)
        return self._finished(ticket)

    def next_picture(self) -> Shared | None:
        """The picture to decode next; None if there is none, or no room for it yet.

        The oldest goes first even if a later one would fit: a large one must not wait for ever.
        """
        if not self._undecoded:
            return None
        if self._memory and self._memory + self._undecoded[0].memory > self._room:
            return None
        shared = self._undecoded.popleft()
        shared.state = "decoding"
        self._memory += shared.memory
        return shared

    def decoded(self, shared: Shared, found: Decoded | Fault) -> Finished:
        """That picture was decoded, or cannot be."""
        self._memory -= shared.memory
        left = [part for part in shared.parts if part.ticket.is_cancelled]
        shared.parts = [part for part in shared.parts if not part.ticket.is_cancelled]
        finished = [done for part in left for done in self._settle(part, None)]
        if isinstance(found, Fault) or not shared.parts:
            del self._pictures[shared.picture, shared.fittings]
            outcome = found if isinstance(found, Fault) else None
            return finished + [d for part in shared.parts for d in self._settle(part, outcome)]
        shared.state, shared.views, shared.size = "decoded", found.views, found.size
        shared.memory = found.memory
        self._memory += shared.memory
        self._make_ready(shared)
        return finished

    def batch(self, most: int, bounds: Mapping[str, int] = MappingProxyType({})) -> list[Part]:
        """Up to `most` parts of one reward whose pictures are decoded; none if none is.

        Fewer where they show large pictures, see `BATCH_BYTES`, and of rewards that `bounds` tells
        a smaller number of.
        """
        for name in self._turns:
            if parts := self._taken(self._ready[name], min(most, bounds.get(name, most))):
                self._turns.remove(name)
                self._turns.append(name)
                return parts
        return []

    def done(self, part: Part, outcome: Scored | Fault) -> Finished:
        """What a batch gave for one of its parts."""
        self._release(part.shared)
        return self._settle(part, outcome)

    def _shared(self, picture: Picture, fittings: _Fittings, memory: int) -> Shared:
        known = self._pictures.get((picture, fittings))
        if known is not None:
            return known
        shared = Shared(picture=picture, fittings=fittings, memory=memory)
        self._pictures[picture, fittings] = shared
        self._undecoded.append(shared)
        return shared

    def _make_ready(self, shared: Shared) -> None:
        for part in shared.parts:
            part.state = "ready"
            entry = (part.ticket.since, next(self._order), part)
            heapq.heappush(self._ready[part.reward], entry)
        shared.users += len(shared.parts)
        shared.parts.clear()

    def _taken(self, ready: list[tuple[float, int, Part]], most: int) -> list[Part]:
        parts: list[Part] = []
        memory = 0
        while ready and len(parts) < most and memory < BATCH_BYTES:
            *_, part = heapq.heappop(ready)
            part.state = "running"
            parts.append(part)
            memory += part.shared.views[self._fittings[part.reward]].nbytes
        return parts

    def _unready(self, part: Part) -> None:
        """Let a part wait for no batch; what stayed in the heap would keep its picture."""
        ready = self._ready[part.reward]
        ready[:] = [entry for entry in ready if entry[2] is not part]
        heapq.heapify(ready)
        self._release(part.shared)

    def _forsake(self, part: Part) -> None:
        shared = part.shared
        shared.parts.remove(part)
        if not shared.parts and shared.state == "waiting":
            self._undecoded.remove(shared)
            del self._pictures[shared.picture, shared.fittings]

    def _release(self, shared: Shared) -> None:
        shared.users -= 1
        if shared.users == 0:
            self._memory -= shared.memory
            shared.views = {}
            del self._pictures[shared.picture, shared.fittings]

    def _settle(self, part: Part, outcome: Scored | Fault | None) -> Finished:
        ticket = part.ticket
        part.state = "done"
        ticket.parts.remove(part)
        if isinstance(outcome, Scored):
            ticket.scores[part.reward] = outcome
        elif outcome is not None:
            ticket.faults[part.reward] = outcome
        return self._finished(ticket)

    def _finished(self, ticket: Ticket) -> Finished:
        if ticket.parts:
            return []
        del self._tickets[ticket.id]
        return [(ticket.id, answer_of(ticket))]


def _is_worked_on(part: Part) -> bool:
    return part.state == "running" or part.shared.state == "decoding"


def answer_of(ticket: Ticket) -> Answer:
    """What an item is answered; nothing if it was cancelled."""
    return Answer() if ticket.is_cancelled else Answer(ticket.scores, ticket.faults)
