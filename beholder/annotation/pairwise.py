"""The pairwise template of Label Studio: its controls, and what one annotator answered.

The server stores any result that it is sent, so every item is checked here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from beholder.errors import AnnotationError

CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        "aesthetics": "aesthetics",
        "detail_quality": "detail",
        "semantic_alignment": "alignment",
        "overall": "overall",
    }
)
"""Control of the template -> aspect, in the order of the form."""

RANKS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"left": (1, 2), "tie": (1, 1), "right": (2, 1)}
)
"""Label -> ranks of the left and the right picture; 1 is best."""

TARGET = "prompt"
"""The object that all controls of the template point to."""

_PREDICTED = {"prediction", "prediction-changed"}


@dataclass(frozen=True, slots=True)
class Answers:
    """One annotation's answers, and what was wrong with it.

    Attributes:
        labels: aspect -> "left", "tie" or "right"; only answers without fault.
        missing: aspects without any item.
        faults: why an item cannot be used, one sentence each.
        others: controls of other kinds, such as a comment box; they are no answers.
        prefilled: whether an item stems from a model's prediction.
    """

    labels: Mapping[str, str]
    missing: Sequence[str] = ()
    faults: Sequence[str] = ()
    others: Sequence[str] = ()
    prefilled: bool = False


def template() -> str:
    """The labelling configuration (XML) whose answers this module reads."""
    return (resources.files("beholder.annotation") / "templates" / "pairwise.xml").read_text()


def read_result(result: object) -> Answers:
    """The answers in an annotation's `result`; faults are told, never raised."""
    if not isinstance(result, list):
        return Answers({}, faults=[f"result is {_kind(result)}, expected a list of items"])
    labels: dict[str, str] = {}
    faults: list[str] = []
    others = [item["from_name"] for item in result if _is_other(item)]
    items = [item for item in result if not _is_other(item)]
    repeated = _repeated(items)
    for item in items:
        try:
            control, label = read_item(item)
        except AnnotationError as error:
            faults.append(str(error))
        else:
            if control not in repeated:
                labels[CONTROLS[control]] = label
    faults += [f"control {control!r} is answered {n} times" for control, n in repeated.items()]
    seen = set(_controls(items))
    missing = [aspect for control, aspect in CONTROLS.items() if control not in seen]
    return Answers(labels, missing, faults, others, any(map(_is_predicted, items)))


def read_item(item: object) -> tuple[str, str]:
    """Control and label of one result item; AnnotationError if it is not one known label."""
    if not isinstance(item, dict):
        raise AnnotationError(f"result item is {_kind(item)}, expected an object")
    control = item.get("from_name")
    if not isinstance(control, str) or control not in CONTROLS:
        raise AnnotationError(f"unknown control {control!r}; known: {', '.join(CONTROLS)}")
    for name, expected in (("type", "choices"), ("to_name", TARGET)):
        if item.get(name) != expected:
            raise AnnotationError(
                f"control {control!r} has {name} {item.get(name)!r}, expected {expected!r}"
            )
    return control, _label(control, item.get("value"))


def _label(control: str, value: object) -> str:
    if not isinstance(value, dict):
        raise AnnotationError(f"control {control!r} has no value")
    choices = value.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        raise AnnotationError(f"control {control!r} has choices {choices!r}, expected exactly one")
    (label,) = choices
    if not isinstance(label, str) or label not in RANKS:
        raise AnnotationError(
            f"control {control!r} has label {label!r}, expected one of {', '.join(RANKS)}"
        )
    return label


def _is_other(item: object) -> bool:
    """Whether an item belongs to a control added beside the four, such as a comment box."""
    if not isinstance(item, dict):
        return False
    name, kind = item.get("from_name"), item.get("type")
    named = isinstance(name, str) and name not in CONTROLS
    return named and isinstance(kind, str) and kind != "choices"


def _controls(items: Sequence[object]) -> list[str]:
    names = [item.get("from_name") for item in items if isinstance(item, dict)]
    return [name for name in names if isinstance(name, str) and name in CONTROLS]


def _repeated(items: Sequence[object]) -> dict[str, int]:
    return {control: n for control, n in Counter(_controls(items)).items() if n > 1}


def _is_predicted(item: object) -> bool:
    return isinstance(item, dict) and str(item.get("origin")) in _PREDICTED


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
