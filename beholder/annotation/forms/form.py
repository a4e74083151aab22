"""A labelling form: how a task shows its pictures, and how an answer to it becomes a record.

A form is one module of this folder that says `FORM = ...` and the XML of the same name in
`templates/`; adding one edits no list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import ClassVar, Generic, TypeVar, cast

from beholder.annotation.forms.result import Items
from beholder.annotation.mapping import AnyTask, TaskPicture, TaskSides
from beholder.errors import AnnotationError
from beholder.types import Comparison, Rating

AnyRecord = Comparison | Rating
Record_co = TypeVar("Record_co", bound=AnyRecord, covariant=True)
OneTask = TypeVar("OneTask", TaskSides, TaskPicture)

_TEMPLATES = resources.files("beholder.annotation.forms") / "templates"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a task showed: its pictures in the form's order, and its row of the mapping if known."""

    key: str
    prompt: str
    images: tuple[str, ...]
    asked: AnyTask | None = None

    def asked_as(self, kind: type[OneTask]) -> OneTask | None:
        """The mapping's row; AnnotationError if it belongs to another form."""
        if self.asked is None or isinstance(self.asked, kind):
            return self.asked
        raise AnnotationError(
            f"its row of the mapping is a {type(self.asked).__name__}, expected {kind.__name__}"
        )


class Form(ABC, Generic[Record_co]):
    """One labelling form.

    Attributes:
        name: of its module and its XML.
        pictures: the fields of a task's data that name its pictures.
        record: what an answer becomes.
    """

    name: ClassVar[str]
    pictures: ClassVar[tuple[str, ...]]
    record: ClassVar[type[Comparison] | type[Rating]]

    def xml(self) -> str:
        """The labelling configuration whose answers `read` reads."""
        return (_TEMPLATES / f"{self.name}.xml").read_text(encoding="utf-8")

    @abstractmethod
    def read(self, shown: Shown, result: object) -> tuple[Record_co, Items]:
        """An annotation's `result` as a record that holds its answers, and what was wrong."""

    @abstractmethod
    def read_mapping(self, path: Path, images_root: Path | None) -> Mapping[str, AnyTask]:
        """Rows of this form's tasks by key; see `beholder.annotation.mapping.read_mapping`."""


def form_names() -> list[str]:
    """The names of all forms."""
    files = (Path(entry.name) for entry in _TEMPLATES.iterdir())
    return sorted(path.stem for path in files if path.suffix == ".xml")


def load_form(name: str) -> Form[AnyRecord]:
    """The form of this name; AnnotationError if there is none."""
    if name not in form_names():
        raise AnnotationError(f"no template {name!r}; there are {', '.join(form_names())}")
    return cast("Form[AnyRecord]", import_module(f"beholder.annotation.forms.{name}").FORM)


def find_form(data: Iterable[object]) -> Form[AnyRecord]:
    """The form whose pictures the first telling task data name.

    Raises AnnotationError if no task fits a form.
    """
    forms = [load_form(name) for name in form_names()]
    for fields in data:
        for form in forms:
            if isinstance(fields, Mapping) and fields.keys() >= set(form.pictures):
                return form
    needs = "; ".join(f"{form.name}: {_fields(form)}" for form in forms)
    raise AnnotationError(f"no task's data fit a template; expected one of {needs}")


def _fields(form: Form[AnyRecord]) -> str:
    return ", ".join(f"data.{name}" for name in ("task_key", "prompt", *form.pictures))
