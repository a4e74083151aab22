"""Our project's counterpart on a server, found by a mark that survives renaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from beholder.annotation.project import Project
from beholder.annotation.server.connection import Connection
from beholder.errors import AnnotationError

ONCE = {"max_retries": 0, "timeout": 600}
"""For requests that may be done although the answer says otherwise, and may take long."""


def check_server(project: Project, connection: Connection) -> None:
    """Raise AnnotationError unless this is the server that the project was pushed to.

    Its address may have changed, as when a local server is started on another port.
    """
    if project.url == connection.url:
        return
    found = connection.find_project(project.mark)
    if found is None or found != project.number:
        raise AnnotationError(
            f"{project.folder} was pushed to {project.url}; use that server, "
            f"or ask anew in another folder to use {connection.url}"
        )


def ensure_project(
    connection: Connection, mark: str, config: str, settings: Mapping[str, object]
) -> int:
    """The id of the server's project with this mark, with these settings; made if there is none.

    The mark stands in its description, so that a push that was killed is found again.
    """
    projects = connection.client.projects
    number = connection.find_project(mark)
    if number is not None:
        connection.write("setting up the project", projects.update, number, **settings)
        return number
    made = connection.write(
        "making the project", projects.create, label_config=config, description=mark, **settings
    )
    return int(made.id)


def delete_unanswered_copies(connection: Connection, copies: Sequence[int]) -> int:
    """How many of these tasks nobody had answered; they are deleted."""
    tasks, removed = connection.client.tasks, 0
    for number in copies:
        task = connection.read("reading a task", tasks.get, str(number))
        if not task.total_annotations and not task.cancelled_annotations:
            connection.write("deleting a copy", tasks.delete, str(number))
            removed += 1
    return removed


def upload(connection: Connection, number: int, pictures: Sequence[Path]) -> None:
    """Send picture files to a project without making tasks of them."""
    files = [
        (f"file{k}", (path.name, path.read_bytes(), "image/png")) for k, path in enumerate(pictures)
    ]
    connection.post_files(f"api/projects/{number}/import", files, {"commit_to_project": "false"})


def uploaded(connection: Connection, number: int) -> dict[str, str]:
    """Our file name -> address of every picture that was sent to a project.

    The server puts a random word and "-" before each name.
    """
    listed = connection.read("listing pictures", connection.client.files.list, number, all_=True)
    paths = [str(one.file).removeprefix("/data/") for one in listed]
    return {Path(path).name.rpartition("-")[2]: f"/data/{path}" for path in paths}
