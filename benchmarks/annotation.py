"""Pairs asked, answered by three people, pulled and joined, on a real Label Studio.

    python -m benchmarks.annotation --prompts 2000

Each step's time is printed beside the time that the server computed for it. The answers are
imported, as thousands of single ones would only measure the server. BEHOLDER_LABEL_STUDIO names an
installed Label Studio; `make test-live` installs one, which is found too.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from PIL import Image

from beholder.annotation.asking.plan import AskConfig, plan
from beholder.annotation.joining.aggregate import Method
from beholder.annotation.judgements import aggregate_folder, agreement_report
from beholder.annotation.project import Project, question_data
from beholder.annotation.reading.label_studio_export import export_annotation
from beholder.annotation.server.connection import Connection, connect
from beholder.annotation.server.install import EXECUTABLE_VARIABLE
from beholder.annotation.server.local import LocalServer, down, up
from beholder.annotation.server.pull import pull
from beholder.annotation.server.push import push
from beholder.inputs import read_inputs
from beholder.types import ASPECTS
from benchmarks._options import ROOT, heading, parser, tell
from benchmarks._ports import free_port
from benchmarks._record import Missing, Row, Spread

PEOPLE, SIDE = 3, 256
_TELLING = 0.5  # CPU seconds of the server below which a ratio to them says nothing
Result = TypeVar("Result")


class Clock:
    """Wall time of a step, and the processor's time of the server during it."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.lines: list[str] = []
        self.rows: list[Row] = []

    def __call__(self, name: str, step: Callable[[], Result]) -> Result:
        wall, before = time.perf_counter(), self.server_seconds()
        result = step()
        spent, served = time.perf_counter() - wall, self.server_seconds() - before
        self.lines.append(f"{name:<44} {spent:7.1f} s   server {served:6.1f} CPU s")
        print(self.lines[-1], flush=True)
        if served > _TELLING:
            self.rows.append(_row(name, spent / served))
        return result

    def server_seconds(self) -> float:
        """User and system time of the server's process so far (Linux)."""
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


def _row(step: str, ratio: float) -> Row:
    return Row(
        area="annotation",
        what=step,
        against="what Label Studio computes for it",
        ratio=Spread.of([ratio]),
        unit="seconds over CPU seconds of the server",
        better="lower",
    )


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--prompts", type=int, default=2000, help="each a pair of pictures")
    given = made.parse_args()
    program = _label_studio()
    if program is None:
        why = f"no Label Studio: make test-live, or {EXECUTABLE_VARIABLE}"
        missing = Missing(area="annotation", what="a whole round of judgements", reason=why)
        tell(given, why, [missing])
        return
    lines = [heading("label-studio-sdk", "datasets", "numpy", note="SQLite")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no server is left behind
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "out", given.prompts)
        try:
            server = up(folder / "server", port=free_port(), executable=program, say=print)
            clock = Clock(server)
            with connect(server.url, server.token) as connection:
                run(folder, connection, clock, given.prompts)
        finally:
            down(folder / "server")
    tell(given, "\n".join([*lines, *clock.lines]), clock.rows, said=True)


def _label_studio() -> Path | None:
    """The program that is named, or that of `make test-live`."""
    named = os.environ.get(EXECUTABLE_VARIABLE)
    program = Path(named) if named else ROOT / ".venv-label-studio" / "bin" / "label-studio"
    return program if program.is_file() else None


def draw(folder: Path, prompts: int) -> None:
    """A picture of each prompt by two checkpoints."""
    rng = np.random.default_rng(0)
    for checkpoint in ("early", "late"):
        (folder / checkpoint).mkdir(parents=True)
        for k in range(prompts):
            small = rng.integers(0, 256, (8, 8, 3), np.uint8)
            path = folder / checkpoint / f"{k:04d}.png"
            Image.fromarray(small).resize((SIDE, SIDE)).save(path)
            path.with_suffix(".txt").write_text(f"prompt {k}")


def run(folder: Path, connection: Connection, clock: Clock, prompts: int) -> None:
    project = Project(folder=folder / "judging", template="pairwise", title="Benchmark")
    sources = {p.name: read_inputs(p) for p in sorted((folder / "out").iterdir())}
    clock(f"plan: {2 * prompts} pictures of {SIDE} px", lambda: plan(project, sources, AskConfig()))
    place = f"shared:{clock.server.files}"
    project, pushed = clock(f"push {prompts} tasks", lambda: push(project, connection, place))
    assert pushed.sent == prompts
    clock("push again: nothing to send", lambda: push(project, connection, place))
    clock(f"answer by import: {PEOPLE} people", lambda: answer(project, connection))
    pulled = clock(f"pull {PEOPLE * prompts} answers", lambda: pull(project, connection))
    assert (pulled.report.clean, pulled.tasks) == (PEOPLE * prompts, {PEOPLE: prompts})
    clock("pull again: nothing new", lambda: pull(project, connection))
    for method in get_args(Method):
        join = partial(aggregate_folder, project.folder, folder / method, method=method)
        assert clock(f"aggregate by {method}", join).rows == prompts
    page = folder / "page.html"
    clock("agreement, with its page", partial(agreement_report, project.folder, html=page))


def answer(project: Project, connection: Connection) -> None:
    """Put the project's tasks back with three people's answers in them."""
    rng = np.random.default_rng(1)
    client, number = connection.client, project.number
    people = [
        client.users.create(email=f"p{k}@example.com", username=f"p{k}").id for k in range(PEOPLE)
    ]
    address = {
        f.name: f"/data/local-files/?d={project.uid}/{f.name}" for f in project.media.iterdir()
    }
    everything = {"all": True, "excluded": []}
    client.actions.create(id="delete_tasks", project=number, selected_items=everything)
    rows: list[dict[str, Any]] = []
    for k, task in enumerate(project.tasks().values()):
        labels = [{a: ("left", "tie", "right")[rng.integers(3)] for a in ASPECTS} for _ in people]
        annotations = [
            export_annotation(said, annotator=who, annotation_id=PEOPLE * k + n, seconds=9.0)
            for n, (who, said) in enumerate(zip(people, labels, strict=True))
        ]
        rows.append({"data": question_data(task, address), "annotations": annotations})
    client.projects.import_tasks(number, request=rows, request_options={"timeout": 600})


if __name__ == "__main__":
    main()
