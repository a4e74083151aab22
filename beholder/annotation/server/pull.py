"""Judgements back from a server: archived as they came, checked, joined to what was asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from beholder.annotation.forms.form import load_form
from beholder.annotation.mapping import AnyTask
from beholder.annotation.project import Project, question_data, write_whole
from beholder.annotation.reading.archive import Added, Archive
from beholder.annotation.reading.importing import flag_missing, write_records
from beholder.annotation.reading.label_studio import (
    ImportReport,
    Problem,
    annotator_name,
    parse_tasks,
)
from beholder.annotation.server.connection import Connection
from beholder.annotation.server.remote import check_server
from beholder.errors import AnnotationError

_OVERLAP = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull brought and what became of everything that was ever pulled.

    Attributes:
        tasks: how many of the project's tasks have how many answers, skips not counted.
        added: tasks that are new, changed, the same and gone since the last pull.
        foreign: tasks of the server's project that this project did not ask; they are left out.
        report: of all records, old and new.
    """

    tasks: Mapping[int, int]
    added: Added
    foreign: int
    report: ImportReport

    def as_json(self) -> dict[str, object]:
        """The same as plain JSON values."""
        return {
            "tasks_by_answers": {str(answers): n for answers, n in self.tasks.items()},
            "added": asdict(self.added),
            "foreign": self.foreign,
            "report": self.report.as_json(),
        }


def pull(project: Project, connection: Connection, *, everything: bool = False) -> Pulled:
    """Write comparisons/ or ratings/ and report.json of the project from all that was pulled.

    Only tasks that changed since the last pull are asked for; `everything` asks for all, which
    also finds tasks that were deleted on the server. If the server fails, nothing changes on disk.

    Raises:
        AnnotationError: if the project was never pushed or belongs to another server, or the
            server fails.
    """
    number = _number(project, connection)
    with project.writing():
        archive = Archive(project.raw)
        everything = everything or not archive.updated
        ids = None if everything else connection.changed_since(number, _before(archive.updated))
        added = archive.add(connection.export(number, ids), everything=everything)
        return read_back(project, archive, added)


def read_back(project: Project, archive: Archive, added: Added | None = None) -> Pulled:
    """The same without a server, from what was pulled before."""
    asked = project.tasks()
    foreign: Counter[str] = Counter()
    problems: list[Problem] = []
    people: dict[str, int] = {}
    tasks = _ours(archive.tasks(), asked, foreign, problems)
    records, report = parse_tasks(
        _note_people(tasks, project.salt, people),
        load_form(project.template),
        mapping=asked,
        images_root=project.folder,
        salt=project.salt,
    )
    records, report = flag_missing(records, report) if records else (records, report)
    report = replace(report, problems=(*report.problems, *problems))
    write_records(records, report, project.folder)
    _keep_people(project, people)
    answers = Counter(r.key for r in records if not r.flags & {"skipped", "deleted"})
    tally = Counter(answers.get(key, 0) for key in asked)
    return Pulled(
        tasks=dict(sorted(tally.items())),
        added=added or Added(),
        foreign=foreign.total(),
        report=report,
    )


def _number(project: Project, connection: Connection) -> int:
    if project.number is None:
        raise AnnotationError(f"{project.folder} was not pushed yet; `beholder annotate push`")
    check_server(project, connection)
    return project.number


def _before(time: str) -> str:
    """A little before the last change that was pulled: a change can show after a later one."""
    return f"{datetime.fromisoformat(time) - _OVERLAP:%Y-%m-%dT%H:%M:%S.%fZ}"


def _ours(
    tasks: Iterable[dict[str, Any]],
    asked: Mapping[str, AnyTask],
    foreign: Counter[str],
    problems: list[Problem],
) -> Iterator[dict[str, Any]]:
    """Tasks that show what was asked; the others are counted or told."""
    for task in tasks:
        data = task.get("data")
        key = str(data.get("task_key")) if isinstance(data, dict) else ""
        if not isinstance(data, dict) or key not in asked:
            foreign[key] += 1
        elif not _shows(data, asked[key]):
            left_out = len(task.get("annotations") or [])
            reason = "the server's task shows another prompt or picture than was asked"
            problems.append(Problem(key, "", f"{reason}; its {left_out} annotations are left out"))
        else:
            yield task


def _shows(data: Mapping[str, object], task: AnyTask) -> bool:
    """Whether a task's data are still those that were sent, wherever its pictures are served."""
    expected = question_data(task)
    return all(
        str(data.get(name)).endswith(value) if name.startswith("image") else data.get(name) == value
        for name, value in expected.items()
    )


def _note_people(
    tasks: Iterable[dict[str, Any]], salt: str, people: dict[str, int]
) -> Iterator[dict[str, Any]]:
    for task in tasks:
        for annotation in task.get("annotations") or []:
            person = annotation.get("completed_by")
            number = person.get("id") if isinstance(person, dict) else person
            if isinstance(number, int):
                people[annotator_name(number, salt)] = number
        yield task


def _keep_people(project: Project, people: Mapping[str, int]) -> None:
    """Write whose name is whose on the server, for the owner's eyes only."""
    path = project.folder / "people.json"
    write_whole(path, json.dumps(dict(sorted(people.items())), indent=1) + "\n", mode=0o600)
