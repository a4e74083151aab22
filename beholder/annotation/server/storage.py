"""How a labelling server reaches the pictures of a project.

"shared:FOLDER"       the server serves local files from FOLDER, which this machine can write
"upload"              the pictures are sent to the server, into a project of their own
"https://host/path"   somebody else serves the project's media folder under that address
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import final

from typing_extensions import override

from beholder.annotation.project import Project
from beholder.annotation.server.connection import Connection
from beholder.annotation.server.remote import ensure_project, upload, uploaded
from beholder.errors import AnnotationError

_FILES_IN_REQUEST = 50  # the server takes 100
_ONE_PICTURE = '<View><Image name="image" value="$image"/></View>'

Progress = Callable[[int], object]


class Storage(ABC):
    """Makes pictures reachable for the server."""

    @abstractmethod
    def serve(self, files: Sequence[str], number: int, progress: Progress) -> Mapping[str, str]:
        """File name -> address for the tasks of the server's project with this id.

        Every file is there when this returns; `progress` is called with 1 for each.
        """


def storage_of(spec: str, connection: Connection, project: Project) -> Storage:
    """The storage that a text names; AnnotationError for another text."""
    kind, _, rest = spec.partition(":")
    if kind == "shared" and rest:
        return SharedFolder(Path(rest), connection, project)
    if spec == "upload":
        return Upload(connection, project)
    if spec.startswith(("http://", "https://")):
        return Hosted(spec)
    raise AnnotationError(
        f"pictures cannot be reached at {spec!r}; expected upload, shared:FOLDER or an address"
    )


@final
class SharedFolder(Storage):
    """Copies, or hard links, in a subfolder of the root from which the server serves local files.

    The server follows symbolic links and serves any file, so only our own pictures are put there.
    """

    def __init__(self, root: Path, connection: Connection, project: Project) -> None:
        self._folder = root / project.uid
        self._connection = connection
        self._project = project

    @override
    def serve(self, files: Sequence[str], number: int, progress: Progress) -> Mapping[str, str]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name in files:
                _copy_once(self._project.media / name, self._folder / name)
                progress(1)
        except OSError as error:
            raise AnnotationError(
                f"cannot copy pictures to {self._folder}: {error.strerror}; "
                "it must be the server's folder of local files"
            ) from error
        self._attach(number)
        return {f: f"/data/local-files/?d={self._folder.name}/{f}" for f in files}

    def _attach(self, number: int) -> None:
        storages = self._connection.client.import_storage.local
        path = str(self._folder.absolute())
        known = self._connection.read("listing storages", storages.list, project=number)
        if any(one.path == path for one in known):
            return
        self._connection.write(
            "connecting the folder of pictures",
            storages.create,
            project=number,
            title="pictures",
            path=path,
            use_blob_urls=True,
        )


@final
class Upload(Storage):
    """Files in a project of the server that holds nothing else.

    A project whose template shows two pictures takes no uploads, so there is one for them.
    """

    def __init__(self, connection: Connection, project: Project) -> None:
        self._connection = connection
        self._project = project

    @override
    def serve(self, files: Sequence[str], number: int, progress: Progress) -> Mapping[str, str]:
        media = ensure_project(
            self._connection,
            f"{self._project.mark}:pictures",
            _ONE_PICTURE,
            {"title": f"{self._project.title[:38]} (pictures)"},
        )
        known = uploaded(self._connection, media)
        progress(sum(name in known for name in files))
        missing = iter([self._project.media / name for name in files if name not in known])
        while batch := list(islice(missing, _FILES_IN_REQUEST)):
            upload(self._connection, media, batch)
            progress(len(batch))
        known = uploaded(self._connection, media)
        if lost := [name for name in files if name not in known]:
            raise AnnotationError(f"the server lost {len(lost)} pictures, such as {lost[0]}")
        return {name: known[name] for name in files}


@final
class Hosted(Storage):
    """Pictures that somebody else serves; the server's page must be allowed to load them (CORS)."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.rstrip("/")

    @override
    def serve(self, files: Sequence[str], number: int, progress: Progress) -> Mapping[str, str]:
        progress(len(files))
        return {name: f"{self._prefix}/{name}" for name in files}


def _copy_once(source: Path, target: Path) -> None:
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        os.link(source, partial)  # no second copy where both lie on one disk
    except OSError:
        shutil.copyfile(source, partial)
    partial.replace(target)
