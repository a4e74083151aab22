"""Tasks to a server: each exactly once, whatever fails on the way.

Label Studio's import is not idempotent, but one request is all or nothing. So the server is asked
which keys it has before anything is sent and after anything went wrong; only what is missing is
sent, never twice on a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from beholder.annotation.forms.form import load_form
from beholder.annotation.mapping import AnyTask
from beholder.annotation.project import Project, picture_files, question_data
from beholder.annotation.server.connection import Connection
from beholder.annotation.server.faults import UnavailableError
from beholder.annotation.server.ordering import order_by_confidence
from beholder.annotation.server.remote import (
    ONCE,
    check_server,
    delete_unanswered_copies,
    ensure_project,
)
from beholder.annotation.server.storage import storage_of
from beholder.errors import AnnotationError

_TASKS_IN_REQUEST = 1000
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push did.

    Attributes:
        number: the project's id on the server.
        address: where annotators answer.
        sent: tasks that were sent now.
        before: tasks that the server had already.
        removed: copies that no one had answered, left by another push at the same time.
        foreign: tasks of the server's project that are not ours.
    """

    number: int
    address: str
    sent: int
    before: int
    removed: int = 0
    foreign: int = 0


def push(
    project: Project,
    connection: Connection,
    pictures_at: str,
    *,
    progress: Callable[[int], object] = lambda _: None,
) -> tuple[Project, Pushed]:
    """The project with its place on the server, and what was sent.

    The same call again sends what is missing and nothing else. `progress` is called with the
    number of pictures and tasks that are done.

    Raises:
        AnnotationError: if the project belongs to another server, a picture is missing, or the
            server fails; what it has by then is kept and counted by the next call.
    """
    with project.writing():
        project = _placed(project, connection, pictures_at)
        tasks = project.tasks()
        _check_pictures(project, tasks)
        storage = storage_of(pictures_at, connection, project)
        files = list(dict.fromkeys(f for task in tasks.values() for f in picture_files(task)))
        project = replace(project, number=_number(project, connection))
        project.save()
        remote = _Remote(connection, project)
        address = storage.serve(files, remote.number, progress)
        data = {key: question_data(task, address) for key, task in tasks.items()}
        pushed = remote.complete(data, progress)
        remote.share_checks(tasks)
        order_by_confidence(connection, remote.number, project.uid, tasks)
        return project, pushed


@dataclass(frozen=True, slots=True)
class _Remote:
    """The project's other half, on the server."""

    connection: Connection
    project: Project

    @property
    def number(self) -> int:
        """Its id there."""
        if self.project.number is None:
            raise AnnotationError(f"{self.project.folder} was not pushed yet")
        return self.project.number

    def complete(
        self, data: Mapping[str, Mapping[str, str]], progress: Callable[[int], object]
    ) -> Pushed:
        """Send what is missing until nothing is; then settle copies and overlap."""
        known = self.connection.known_keys(self.number)
        before = sum(key in known for key in data)
        progress(before)
        for _ in range(_ATTEMPTS):
            missing = [dict(row) for key, row in data.items() if key not in known]
            failure = self._send(missing, progress)
            known = self.connection.known_keys(self.number)
            if failure is None:
                break
        if lost := [key for key in data if key not in known]:
            raise failure or AnnotationError(
                f"the server has {len(data) - len(lost)} of {len(data)} tasks; push again"
            )
        return Pushed(
            number=self.number,
            address=f"{self.project.url}/projects/{self.number}/data?labeling=1",
            sent=len(data) - before,
            before=before,
            removed=delete_unanswered_copies(
                self.connection,
                [copy for key in data for copy in sorted(known[key])[1:]],
            ),
            foreign=sum(len(ids) for key, ids in known.items() if key not in data),
        )

    def share_checks(self, tasks: Mapping[str, AnyTask]) -> None:
        """Let several people answer gold tasks, repeats and what they repeat, in any case.

        Only so can one person be compared with the known answer, or with themselves.
        """
        if self.project.overlap_percent == 100:
            return
        checks = [task for task in tasks.values() if task.kind != "ask"]
        keys = {task.task_key for task in checks} | {task.repeats for task in checks}
        known = self.connection.known_keys(self.number) if keys else {}
        for number in (ids[0] for key, ids in known.items() if key in keys):
            self.connection.patch(
                "sharing a task", f"api/tasks/{number}/", {"overlap": self.project.annotators}
            )

    def _send(
        self, rows: Sequence[dict[str, str]], progress: Callable[[int], object]
    ) -> UnavailableError | None:
        """Why sending stopped, if the tasks may have arrived all the same; None if they did."""
        left = iter(rows)
        while batch := list(islice(left, _TASKS_IN_REQUEST)):
            try:
                self.connection.write(
                    "sending tasks",
                    self.connection.client.projects.import_tasks,
                    self.number,
                    request=[{"data": row} for row in batch],
                    request_options=ONCE,
                )
            except UnavailableError as error:
                return error
            progress(len(batch))
        return None


def _placed(project: Project, connection: Connection, pictures_at: str) -> Project:
    """The project with the server's address; AnnotationError if it was pushed to another one."""
    if project.url:
        check_server(project, connection)
    return replace(project, url=connection.url, pictures_at=pictures_at)


def _check_pictures(project: Project, tasks: Mapping[str, AnyTask]) -> None:
    """Raise AnnotationError, before anything is sent, if a picture of a task is gone."""
    if not tasks:
        raise AnnotationError(f"{project.folder} holds no tasks to push")
    files = {file for task in tasks.values() for file in picture_files(task)}
    missing = sorted(file for file in files if not (project.media / file).is_file())
    if missing:
        raise AnnotationError(
            f"{len(missing)} of {len(files)} pictures are missing in {project.media}, "
            f"such as {missing[0]}; nothing was sent"
        )


def _number(project: Project, connection: Connection) -> int:
    """The id of the server's project, made or brought up to date."""
    settings = {
        "title": project.title,
        "maximum_annotations": project.annotators,
        "overlap_cohort_percentage": project.overlap_percent,
        "show_overlap_first": False,
        "show_skip_button": True,
        "enable_empty_annotation": False,
        "show_collab_predictions": False,
    }
    config = load_form(project.template).xml()
    return ensure_project(connection, project.mark, config, settings)
