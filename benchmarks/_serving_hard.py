"""A server that is asked for more than it can do, one that is told to end, one that runs on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from benchmarks._memory import resident
from benchmarks._serving_load import Told
from benchmarks._serving_servers import CLIP, Server, own, served
from benchmarks._serving_work import (
    Clients,
    Work,
    ask,
    check_scores,
    faults_of,
    last_words,
    percentiles,
)

_EVERY = 2.0
_SETTLED = 0.25
"""Share of a long run after which memory is expected to stay where it is."""


def overload(work: Work, seconds: float, times: float, queue: int) -> list[str]:
    """Open loop at a multiple of what it can do: only 200 and 429, and those who are taken soon."""
    with served(own(CLIP, "--queue", str(queue)), work.folder, work.first) as server:
        before = ask(server, work, 64, seconds)
        rate = len(before.milliseconds) / before.seconds
        options = ("--rate", str(times * rate), "--seconds", str(seconds))
        told = Clients(server, work, *options).told()
        _refuse(told, {"200", "429"}, server)
        after = ask(server, work, 64, seconds)
    check_scores(told, work.local[CLIP], "overload")
    p50, p99 = percentiles(told.milliseconds)
    taken, refused = told.statuses["200"], told.statuses["429"]
    offered = (taken + refused + told.unsent) / told.seconds
    return [
        f"64 clients {rate:.1f} requests/s; then {offered:.0f} a second come, queue {queue}:",
        f"  {taken} answers 200 ({taken / told.seconds:.1f} a second), p50 {p50:.1f}, "
        f"p99 {p99:.1f} ms; {refused} answers 429 with Retry-After, "
        f"p99 {percentiles(told.refusals)[1]:.1f} ms; {told.unsent} not sent, none lost",
        f"  64 clients afterwards {len(after.milliseconds) / after.seconds:.1f} requests/s",
    ]


def sigterm(work: Work, clients: int, seconds: float, rounds: int) -> list[str]:
    """SIGTERM while clients ask: whoever was heard is answered, and no process stays."""
    answered, refused, lost, ends = 0, 0, 0, []
    for _ in range(rounds):
        with served(own(CLIP), work.folder, work.first) as server:
            options = ("--clients", str(clients), "--seconds", str(4 * seconds + 30))
            asking = Clients(server, work, *options)
            time.sleep(seconds)
            ends.append(server.stop())
            code = server.process.returncode
            told = asking.told()
        if code:
            raise SystemExit(f"exit code {code} after SIGTERM\n{last_words(server)}")
        check_scores(told, work.local[CLIP], "SIGTERM")
        answered += told.statuses["200"]
        refused += told.statuses["503"]
        lost += told.lost
        if told.unlike or not set(told.statuses) <= {"200", "503"}:
            raise SystemExit(f"SIGTERM: {faults_of(told, {'200', '503'})}")
    return [
        f"{clients} clients, {rounds} times: {answered} answers 200, {refused} answers 503, "
        f"{lost} lost; exit code 0 after {statistics.median(ends):.2f} s (longest {max(ends):.2f})"
    ]


def soak(work: Work, clients: int, minutes: float, reward: str = CLIP) -> list[str]:
    """Clients for a long time: no error, and memory that stays where it is."""
    samples: list[tuple[float, float, float]] = []
    with served(own(reward), work.folder, work.first) as server:
        options = ("--clients", str(clients), "--seconds", str(60 * minutes))
        asking, start = Clients(server, work, *options), time.monotonic()
        while not asking.are_done:
            samples.append((time.monotonic() - start, *_memory(server)))
            time.sleep(min(_EVERY, 6 * minutes))
        told = asking.told()
        _refuse(told, {"200"}, server)
    worst = check_scores(told, work.local[reward], "soak")
    p50, p99 = percentiles(told.milliseconds)
    return [
        f"{clients} clients, {told.seconds / 60:.1f} minutes: {told.statuses['200']} answers 200 "
        f"and no other, {len(told.milliseconds) / told.seconds:.1f} a second, p50 {p50:.1f}, "
        f"p99 {p99:.1f} ms",
        f"  one answer a request, scores differ from local ones by {worst:.1e}",
        *_growth(samples, 60 * minutes),
    ]


def _memory(server: Server) -> tuple[float, float]:
    return resident(server.process.pid), sum(map(resident, server.workers()))


def _growth(samples: Sequence[tuple[float, float, float]], seconds: float) -> list[str]:
    settled = [s for s in samples if _SETTLED * seconds <= s[0] <= seconds and s[2]]
    if len(settled) < 2:
        return ["  too short to tell whether memory grows"]
    lines = []
    for column, name in ((1, "front"), (2, "workers")):
        line = statistics.linear_regression(
            [s[0] / 60 for s in settled], [s[column] for s in settled]
        )
        lines.append(
            f"  {name} {settled[0][column]:.1f} MiB after {settled[0][0] / 60:.1f} minutes, "
            f"{settled[-1][column]:.1f} at the end, most {max(s[column] for s in settled):.1f}; "
            f"{line.slope:+.2f} MiB a minute"
        )
    return lines


def _refuse(told: Told, allowed: set[str], server: Server) -> None:
    if faults := faults_of(told, allowed):
        raise SystemExit(f"{faults}\n{last_words(server)}")
