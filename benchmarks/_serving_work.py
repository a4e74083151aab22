"""What the clients ask about, how they are run, and whether the answers are the local ones."""

from __future__ import annotations

import base64
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import beholder
from benchmarks._pictures import jpeg
from benchmarks._serving_load import Told
from benchmarks._serving_servers import CLIP, GPU, Server

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Work:
    """Pictures with their prompts, a request each.

    Attributes:
        folder: for everything that is written.
        bodies: file with a request a line.
        first: the first of them.
        local: reward -> the total of each, scored in this process.
    """

    folder: Path
    bodies: Path
    first: bytes
    local: Mapping[str, Sequence[float]]


def make_work(folder: Path, pictures: int, side: int) -> Work:
    """Requests about so many JPEG files of that side."""
    files = [jpeg(side, number) for number in range(pictures)]
    prompts = [f"a fox number {number} in a storm, oil on canvas" for number in range(pictures)]
    lines = [_body(*pair) for pair in zip(files, prompts, strict=True)]
    bodies = folder / "bodies.jsonl"
    bodies.write_bytes(b"\n".join(lines))
    local = {
        name: beholder.load(name).score(files, prompts, batch_size=1 if name == CLIP else 32).total
        for name in (CLIP, GPU)
    }
    return Work(folder, bodies, lines[0], {name: scores.tolist() for name, scores in local.items()})


def _body(picture: bytes, prompt: str) -> bytes:
    item = {"image": base64.b64encode(picture).decode(), "prompt": prompt}
    return json.dumps({"items": [item]}).encode()


class Clients:
    """A process of clients that asks one server."""

    def __init__(self, server: Server, work: Work, *options: str) -> None:
        command = [sys.executable, "-m", "benchmarks._serving_load", server.url, str(work.bodies)]
        # a pipe would fill up while nobody reads it
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen([*command, *options], stdout=self._said)

    @property
    def are_done(self) -> bool:
        """Whether they have told."""
        return self._process.poll() is not None

    def told(self) -> Told:
        """What they saw, once they are done."""
        if self._process.wait():
            raise SystemExit("the clients failed")
        with self._said as said:
            said.seek(0)
            told = Told(**json.load(said))
        told.statuses = type(Told().statuses)(told.statuses)
        return told


def ask(server: Server, work: Work, clients: int, seconds: float) -> Told:
    """Closed loops of so many clients for so long, after half a second that does not count.

    Raises SystemExit if any request fails.
    """
    options = ("--clients", clients, "--seconds", seconds, "--warm", 0.5)
    told = Clients(server, work, *map(str, options)).told()
    if faults := faults_of(told, {"200"}):
        raise SystemExit(f"{server.url}, {clients} clients: {faults}\n{last_words(server)}")
    return told


def faults_of(told: Told, allowed: set[str]) -> str:
    """What went wrong, in words; "" if nothing did."""
    counts: dict[str, int] = {
        f"status {s}": n for s, n in told.statuses.items() if s not in allowed
    }
    for name in ("lost", "turned_away", "unlike", "hasty"):
        counts[name] = getattr(told, name)
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)


def difference(told: Told, local: Sequence[float]) -> float:
    """Largest distance of an answer from the score of this process."""
    ends = ((end, local[int(k)]) for k, pair in told.scores.items() for end in pair)
    return max((abs(answer - here) for answer, here in ends), default=0.0)


def check_scores(told: Told, local: Sequence[float], who: str) -> float:
    """The largest difference; SystemExit if it is over what counts as the same score."""
    found = difference(told, local)
    if found > TOLERANCE:
        raise SystemExit(f"{who}: a score differs from the local one by {found:.2g}")
    return found


def percentiles(milliseconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    if len(milliseconds) < 2:
        return (milliseconds or [0.0])[0], (milliseconds or [0.0])[0]
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return cuts[49], cuts[98]


def last_words(server: Server) -> str:
    """The end of what a server said."""
    return server.log.read_text(errors="replace")[-2000:]
