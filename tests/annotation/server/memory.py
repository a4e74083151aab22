"""The SDK's client over a Label Studio in memory, which can lose answers as a real one does."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx

from beholder.annotation.server.connection import Connection


@dataclass
class Memory:
    """One server's state and what it was asked to write.

    Attributes:
        lost_answers: how many imports are done and then not answered.
        refused: how many imports are not done at all.
    """

    projects: dict[int, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    predictions: list[SimpleNamespace] = field(default_factory=list)
    folders: list[SimpleNamespace] = field(default_factory=list)
    files: dict[int, list[str]] = field(default_factory=dict)
    patched: dict[str, Any] = field(default_factory=dict)
    requests: list[int] = field(default_factory=list)
    lost_answers: int = 0
    refused: int = 0
    dropped_predictions: int = 0
    clock: int = 0

    def now(self) -> str:
        """A later time at each call."""
        self.clock += 1
        return f"2026-01-01T{self.clock // 60:02d}:{self.clock % 60:02d}:00.000000Z"

    def create_project(self, **settings: Any) -> SimpleNamespace:
        number = len(self.projects) + 1
        self.projects[number] = settings
        return SimpleNamespace(id=number, description=settings["description"])

    def update_project(self, number: int, **settings: Any) -> None:
        self.projects[number] |= settings

    def list_projects(self, **_: Any) -> SimpleNamespace:
        found = [
            SimpleNamespace(id=n, description=p["description"]) for n, p in self.projects.items()
        ]
        return page(found, "count")

    def import_tasks(self, number: int, *, request: Sequence[Any], **_: Any) -> None:
        self.requests.append(len(request))
        if self.refused:
            self.refused -= 1
            raise httpx.ConnectError("refused")
        for row in request:
            self.add_task(number, row["data"])
        if self.lost_answers:
            self.lost_answers -= 1
            raise httpx.ReadTimeout("too slow")

    def add_task(self, project: int, data: dict[str, Any]) -> int:
        number = max(self.tasks, default=0) + 1
        kept = {"id": number, "project": project, "data": data, "annotations": [], "drafts": []}
        self.tasks[number] = {**kept, "updated_at": self.now()}
        return number

    def answer(self, number: int, annotation: dict[str, Any]) -> None:
        self.tasks[number]["annotations"].append(annotation)
        self.tasks[number]["updated_at"] = self.now()

    def list_tasks(self, *, project: int, query: str | None, **_: Any) -> SimpleNamespace:
        since = json.loads(query)["filters"]["items"][0]["value"] if query else ""
        found = [
            SimpleNamespace(id=n, data=t["data"])
            for n, t in self.tasks.items()
            if t["project"] == project and t["updated_at"] > since
        ]
        return page(found, "total")

    def get_task(self, number: str) -> SimpleNamespace:
        answers = len(self.tasks[int(number)]["annotations"])
        return SimpleNamespace(total_annotations=answers, cancelled_annotations=0)

    def delete_task(self, number: str) -> None:
        del self.tasks[int(number)]

    def export(self, project: int, *, request_options: dict[str, Any], **_: Any) -> Iterator[bytes]:
        ids = request_options.get("additional_query_parameters", {}).get("ids[]")
        tasks = [t for n, t in self.tasks.items() if t["project"] == project]
        yield json.dumps([t for t in tasks if ids is None or t["id"] in ids]).encode()

    def import_predictions(self, _: int, *, request: Sequence[Any], **__: Any) -> SimpleNamespace:
        kept = request[self.dropped_predictions :]
        self.predictions += [SimpleNamespace(**row) for row in kept]
        return SimpleNamespace(created=len(kept))

    def create_folder(self, **settings: Any) -> None:
        self.folders.append(SimpleNamespace(**settings))

    def connection(self) -> Connection:
        """A connection whose every call ends here."""
        client = SimpleNamespace(
            projects=SimpleNamespace(
                create=self.create_project,
                update=self.update_project,
                list=self.list_projects,
                import_tasks=self.import_tasks,
                import_predictions=self.import_predictions,
                exports=SimpleNamespace(download_sync=self.export),
            ),
            tasks=SimpleNamespace(list=self.list_tasks, get=self.get_task, delete=self.delete_task),
            predictions=SimpleNamespace(list=lambda project: self.predictions),
            import_storage=SimpleNamespace(
                local=SimpleNamespace(list=lambda project: self.folders, create=self.create_folder)
            ),
            files=SimpleNamespace(
                list=lambda number, all_: [
                    SimpleNamespace(file=f"upload/{number}/{name}") for name in self.files[number]
                ]
            ),
            _client_wrapper=SimpleNamespace(get_headers=dict),
        )
        wire = SimpleNamespace(request=self.request, close=lambda: None)
        return Connection("http://127.0.0.1:8080", "1.23.2", 1, client, wire)

    def request(self, method: str, url: str, **content: Any) -> SimpleNamespace:
        """Calls that the SDK lacks: changes of tasks, and files for a project."""
        path = url.partition("/api/")[2]
        if method == "PATCH":
            self.patched[path] = content["json"]
        else:
            number = int(path.split("/")[1])
            names = [file[1][0] for file in content["files"]]
            self.files.setdefault(number, []).extend(f"abcd1234-{name}" for name in names)
        answer: Callable[[], Any] = dict
        made = SimpleNamespace(json=answer)
        made.raise_for_status = lambda: made
        return made


def page(items: list[SimpleNamespace], count: str) -> SimpleNamespace:
    """The first and only page of a list."""
    return SimpleNamespace(items=items, response=SimpleNamespace(**{count: len(items)}))
