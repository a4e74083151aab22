"""What Label Studio sends with POST /predict: tasks, of which only the data are looked at.

Answers of people lie beside them. They are never read: a reward that saw them would be measured
against what it was told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beholder.serving._label_studio.layout import Layout, read_layout
from beholder.serving._wire.reading import a_list, a_text, an_object
from beholder.serving.items import Fault


@dataclass(frozen=True, slots=True)
class Question:
    """What one task shows.

    Attributes:
        prompt: None if none is shown.
        pictures: an address each, the left one first; or why there is none.
    """

    prompt: str | None
    pictures: tuple[str | Fault, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A body that was read."""

    layout: Layout
    questions: Sequence[Question]


def read(body: object, label_studio: str) -> Asked:
    """What is asked; `label_studio` is the address of the server whose own pictures may be fetched.

    Raises:
        DataError: if the body is not of the protocol, or the configuration has no form of ours.
    """
    fields = an_object(body, "the body")
    tasks = a_list(fields, "tasks")
    layout = read_layout(a_text(fields.get("label_config"), "label_config"))
    return Asked(layout, [_question(task, layout, label_studio) for task in tasks])


def _question(task: object, layout: Layout, label_studio: str) -> Question:
    data = an_object(an_object(task, "a task").get("data"), "a task's data")
    prompt = data.get(layout.prompt) if layout.prompt else None
    pictures = (_address(data, name, label_studio) for name in layout.pictures)
    return Question(prompt if isinstance(prompt, str) else None, tuple(pictures))


def _address(data: Mapping[str, object], name: str, label_studio: str) -> str | Fault:
    value = data.get(name)
    if not isinstance(value, str):
        return Fault("url", f"data.{name} is {type(value).__name__}, expected an address")
    if not value.startswith("/") or value.startswith("//"):
        return value
    if not label_studio:
        return Fault("url", f"data.{name} lies on Label Studio; serve with --label-studio URL")
    return label_studio.rstrip("/") + value
