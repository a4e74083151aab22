"""Requests a second and how long they take, of several servers in interleaved rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks._record import Row, Spread
from benchmarks._serving_load import Told
from benchmarks._serving_servers import CLIP, Start, litserve, own, plain, ray_serve, served
from benchmarks._serving_work import Work, ask, check_scores, percentiles

OURS, ONE_BY_ONE = "beholder serve", "beholder serve, batch 1"
PLAIN = "one at a time"
_SHOWN = {"LitServe"}
_Seen = dict[tuple[str, int], list[Told]]


@dataclass(frozen=True)
class Effort:
    """How much is measured: closed loops of each number of clients, `seconds` long, in rounds."""

    clients: Sequence[int]
    seconds: float
    rounds: int
    batch: int


@dataclass(frozen=True)
class Rates:
    """What servers of one reward did.

    Attributes:
        seen: (server, clients) -> what the clients tell, round by round.
        of: the server that the lines compare the others with.
        same: how the answers compare with local scores.
    """

    seen: Mapping[tuple[str, int], Sequence[Told]]
    reward: str
    of: str
    same: str

    def lines(self) -> list[str]:
        """A line each server and number of clients; ratios are of the rounds, pair by pair."""
        lines = [f"{'server':<26}{'clients':>8}  requests/s   p50 ms   p99 ms   times {self.of}"]
        for (name, clients), told in sorted(self.seen.items(), key=lambda entry: entry[0][1]):
            rates = [rate(t) for t in told]
            p50, p99 = (
                statistics.median(column)
                for column in zip(*(percentiles(t.milliseconds) for t in told), strict=True)
            )
            lines.append(
                f"{name:<26}{clients:>8}  {statistics.median(rates):>10.1f}  {p50:>7.1f}  "
                f"{p99:>7.1f}   {self._times(name, self.of, clients).told()}"
            )
        return [*lines, self.same]

    def rows(self, versions: Mapping[str, str]) -> list[Row]:
        """Ours beside each of the others, which may have a `versions` text, for all clients."""
        others = [(name, clients) for name, clients in self.seen if not name.startswith(OURS)]
        most = max(clients for _, clients in others)
        return [
            Row(
                area="serving",
                what=f"requests a second of {_named(self.reward)}, {clients} clients",
                against=name,
                ratio=self._times(OURS, name, clients),
                unit="requests a second",
                peer=versions.get(name, ""),
                agreement=self.same.rpartition("; ")[2],
                headline=clients == most and self.reward == CLIP and name in _SHOWN,
            )
            for name, clients in others
        ]

    def _times(self, name: str, other: str, clients: int) -> Spread:
        own, others = ([rate(told) for told in self.seen[one, clients]] for one in (name, other))
        return Spread.of_ratios(own, others)


def _named(reward: str) -> str:
    return "a small CLIP" if reward == CLIP else "a simulated GPU"


def batching(work: Work, reward: str, effort: Effort) -> Rates:
    """One picture at a time, beside batches of whatever waits."""
    starts = _alternatives(reward, effort.batch)
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(served(start, work.folder, work.first))
            for name, start in starts.items()
        }
        seen: _Seen = {}
        for _ in range(effort.rounds):
            for clients in effort.clients:
                for name, server in servers.items():
                    told = ask(server, work, clients, effort.seconds)
                    seen.setdefault((name, clients), []).append(told)
    return Rates(seen, reward, PLAIN, _same(seen, work.local[reward]))


def latency(work: Work, reward: str, effort: Effort) -> list[str]:
    """One client's times with and without batches, in many short rounds."""
    starts = _alternatives(reward, effort.batch)
    found: dict[str, list[float]] = {name: [] for name in starts}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(served(start, work.folder, work.first))
            for name, start in starts.items()
        }
        for _ in range(effort.rounds):
            for name, server in servers.items():
                told = ask(server, work, 1, effort.seconds)
                found[name].append(percentiles(told.milliseconds)[0])
    lines = [
        f"{name:<26} one client, p50 {Spread.of(p50).told(1)} ms" for name, p50 in found.items()
    ]
    for name in (ONE_BY_ONE, PLAIN):
        apart = [ours - other for ours, other in zip(found[OURS], found[name], strict=True)]
        lines.append(f"  {OURS} later than {name} by {Spread.of(apart).told(1)} ms")
    return lines


def _alternatives(reward: str, batch: int) -> dict[str, Start]:
    return {
        PLAIN: plain(reward),
        ONE_BY_ONE: own(reward, "--batch-size", "1"),
        OURS: own(reward, "--batch-size", str(batch)),
    }


def peers(work: Work, python: Path, reward: str, effort: Effort) -> Rates:
    """LitServe and Ray Serve, each alone on the machine, beside ours."""
    starts = {
        "LitServe": litserve(python, reward, effort.batch),
        "Ray Serve": ray_serve(python, reward, effort.batch),
        OURS: own(reward, "--batch-size", str(effort.batch)),
    }
    seen: _Seen = {}
    for _ in range(effort.rounds):
        for name, start in starts.items():
            with served(start, work.folder, work.first) as server:
                for clients in effort.clients:
                    told = ask(server, work, clients, effort.seconds)
                    seen.setdefault((name, clients), []).append(told)
    return Rates(seen, reward, OURS, _same(seen, work.local[reward]))


def _same(seen: Mapping[tuple[str, int], Sequence[Told]], local: Sequence[float]) -> str:
    worst = max(
        check_scores(told, local, name) for (name, _), each in seen.items() for told in each
    )
    answers = sum(sum(told.statuses.values()) for each in seen.values() for told in each)
    return f"{answers} requests, one answer each; scores differ from local ones by {worst:.1e}"


def rate(told: Told) -> float:
    """Answered requests a second."""
    return len(told.milliseconds) / told.seconds
