"""2,000 pairs asked, answered by three people, pulled and joined, on a real Label Studio.

Each step's time is printed beside the time that the server computed for it. The answers are
imported, as 6,000 single ones would only measure the server. Label Studio is installed on first
use; BEHOLDER_LABEL_STUDIO names an installed one.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from importlib.metadata import version
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
from beholder.annotation.server.local import LocalServer, down, up
from beholder.annotation.server.pull import pull
from beholder.annotation.server.push import push
from beholder.eval.cost import processor
from beholder.inputs import read_inputs
from beholder.types import ASPECTS

PROMPTS, PEOPLE, SIDE = 2000, 3, 256
Result = TypeVar("Result")


class Clock:
    """Wall time of a step, and the processor's time of the server during it."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server

    def __call__(self, name: str, step: Callable[[], Result]) -> Result:
        wall, before = time.perf_counter(), self.server_seconds()
        result = step()
        spent = time.perf_counter() - wall, self.server_seconds() - before
        print(f"{name:<44} {spent[0]:7.1f} s   server {spent[1]:6.1f} CPU s")
        return result

    def server_seconds(self) -> float:
        """User and system time of the server's process so far (Linux)."""
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    packages = ("label-studio-sdk", "datasets", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"{date.today().isoformat()}, {processor()}; {versions}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "out")
        server = up(folder / "server", port=8097, say=print)
        print(f"Label Studio {server.version}, SQLite")
        try:
            with connect(server.url, server.token) as connection:
                run(folder, server, connection, Clock(server))
        finally:
            down(server.folder)


def draw(folder: Path) -> None:
    """A picture of each prompt by two checkpoints."""
    rng = np.random.default_rng(0)
    for checkpoint in ("early", "late"):
        (folder / checkpoint).mkdir(parents=True)
        for k in range(PROMPTS):
            small = rng.integers(0, 256, (8, 8, 3), np.uint8)
            path = folder / checkpoint / f"{k:04d}.png"
            Image.fromarray(small).resize((SIDE, SIDE)).save(path)
            path.with_suffix(".txt").write_text(f"prompt {k}")


def run(folder: Path, server: LocalServer, connection: Connection, clock: Clock) -> None:
    project = Project(folder=folder / "judging", template="pairwise", title="Benchmark")
    sources = {p.name: read_inputs(p) for p in sorted((folder / "out").iterdir())}
    clock(f"plan: {2 * PROMPTS} pictures of {SIDE} px", lambda: plan(project, sources, AskConfig()))
    place = f"shared:{server.files}"
    project, pushed = clock(f"push {PROMPTS} tasks", lambda: push(project, connection, place))
    assert pushed.sent == PROMPTS
    clock("push again: nothing to send", lambda: push(project, connection, place))
    clock(f"answer by import: {PEOPLE} people", lambda: answer(project, connection))
    pulled = clock(f"pull {PEOPLE * PROMPTS} answers", lambda: pull(project, connection))
    assert (pulled.report.clean, pulled.tasks) == (PEOPLE * PROMPTS, {PEOPLE: PROMPTS})
    clock("pull again: nothing new", lambda: pull(project, connection))
    for method in get_args(Method):
        join = partial(aggregate_folder, project.folder, folder / method, method=method)
        assert clock(f"aggregate by {method}", join).rows == PROMPTS
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
