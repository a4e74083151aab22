"""An annotation project on disk: what was asked, and which project of which server asks it.

judging/project.json     the settings below; no token
judging/mapping.jsonl    a row for each task in the order of asking, kept outside the server
judging/media/           the pictures, named by content
judging/raw/             what was pulled, append-only
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from beholder._lock import only_writer
from beholder.annotation.forms.form import load_form
from beholder.annotation.mapping import AnyTask, TaskPicture, write_mapping
from beholder.errors import AnnotationError

Template = Literal["pairwise", "richhf"]
"""The labelling configurations that this package asks with and reads back."""

_SETTINGS = "project.json"
_MAPPING = "mapping.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The settings of a project; `Project.load` reads them and `save` writes them.

    Attributes:
        folder: where the project lies.
        template: how people are asked.
        title: what annotators read above the tasks, 3 to 50 characters.
        annotators: people who answer each overlapping task.
        overlap_percent: share of the tasks that so many people answer; one person the others.
        seed: of sides, order, repeats and the choice of questions.
        uid: names this project on the server, whoever renames it there.
        salt: makes task keys and annotators' names unguessable.
        url: the server that asks; "" before the first push.
        number: the project's id on that server.
        pictures_at: how the server reaches the pictures; see `beholder.annotation.storage`.
    """

    folder: Path
    template: Template
    title: str
    annotators: int = 3
    overlap_percent: int = 100
    seed: int = 0
    uid: str = field(default_factory=lambda: secrets.token_hex(8))
    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    url: str = ""
    number: int | None = None
    pictures_at: str = ""

    def __post_init__(self) -> None:
        if not 3 <= len(self.title) <= 50:
            raise AnnotationError(f"the title {self.title!r} must have 3 to 50 characters")
        if self.annotators < 1:
            raise AnnotationError(f"annotators is {self.annotators}, expected 1 or more")
        if not 0 <= self.overlap_percent <= 100:
            raise AnnotationError(f"overlap_percent is {self.overlap_percent}, expected 0 to 100")

    @classmethod
    def load(cls, folder: Path) -> Project:
        """The project in `folder`; AnnotationError if there is none or its settings are damaged."""
        path = folder / _SETTINGS
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise AnnotationError(
                f"{folder} holds no annotation project ({error.strerror}: {_SETTINGS}); "
                "`beholder annotate push` makes one"
            ) from error
        except ValueError as error:
            raise AnnotationError(f"{path} is not JSON: {error}") from error
        try:
            return cls(folder=folder, **_known(settings, path))
        except TypeError as error:
            raise AnnotationError(f"{path} holds a value of the wrong kind: {error}") from error

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a folder holds a project."""
        return (folder / _SETTINGS).is_file()

    def save(self) -> None:
        """Write project.json, whole or not at all."""
        settings = {name: value for name, value in asdict(self).items() if name != "folder"}
        write_whole(self.folder / _SETTINGS, json.dumps(settings, indent=1) + "\n")

    @property
    def mark(self) -> str:
        """What the server's project says in its description, whatever it is called."""
        return f"beholder:{self.uid}"

    @property
    def media(self) -> Path:
        """The folder of the pictures."""
        return self.folder / "media"

    @property
    def raw(self) -> Path:
        """The folder of what was pulled."""
        return self.folder / "raw"

    def tasks(self) -> Mapping[str, AnyTask]:
        """Every task by its key, in the order of asking; pictures as absolute paths."""
        path = self.folder / _MAPPING
        return load_form(self.template).read_mapping(path, None) if path.is_file() else {}

    def add_tasks(self, tasks: Sequence[AnyTask]) -> None:
        """Write tasks behind those of mapping.jsonl, all or none."""
        path = self.folder / _MAPPING
        partial = path.with_suffix(".partial")
        write_mapping(tasks, partial)
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        write_whole(path, before + partial.read_text(encoding="utf-8"))
        partial.unlink()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only process that changes the project; DataError if another one does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with only_writer(self.folder / ".lock"):
            yield


def question_data(task: AnyTask, address: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the server learns of a task: its key, the prompt, and where the pictures are.

    `address` is file name -> address that the server serves; without it the names stand there.
    """
    first, *second = ((address or {}).get(name, name) for name in picture_files(task))
    data = {"task_key": task.task_key, "prompt": task.extra["prompt"]}
    if isinstance(task, TaskPicture):
        return {**data, "image": first}
    left, right = (first, *second) if task.left_is == "a" else (*second, first)
    return {**data, "image_left": left, "image_right": right}


def picture_files(task: AnyTask) -> list[str]:
    """Names of the files that a task shows."""
    images = [task.image] if isinstance(task, TaskPicture) else [task.image_a, task.image_b]
    return [Path(image).name for image in images]


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old text or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(partial, flags, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _known(settings: object, path: Path) -> dict[str, Any]:
    if not isinstance(settings, dict):
        raise AnnotationError(f"{path} holds {type(settings).__name__}, expected an object")
    names = {f.name for f in fields(Project)} - {"folder"}
    unknown = settings.keys() - names
    missing = {"template", "title", "uid", "salt"} - settings.keys()
    if unknown or missing:
        wrong = [*(f"unknown {n}" for n in sorted(unknown)), *(f"no {n}" for n in sorted(missing))]
        raise AnnotationError(f"{path} is not a project of this version: {', '.join(wrong)}")
    if settings["template"] not in get_args(Template):
        known = ", ".join(get_args(Template))
        raise AnnotationError(f"{path}: no template {settings['template']!r}; there are {known}")
    return settings
