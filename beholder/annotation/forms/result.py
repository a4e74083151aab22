"""One annotation's result: which of its items are well formed, and what is wrong with others.

The server stores any result that it is sent, so every item is checked here, for every template.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from beholder.errors import AnnotationError

_PREDICTED = {"prediction", "prediction-changed"}

Value = Mapping[str, object]
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Control:
    """A control of a template.

    Attributes:
        kind: the `type` of its items.
        target: the object that they point to, their `to_name`.
        many: whether it gives any number of items, none included; otherwise exactly one.
    """

    kind: str
    target: str
    many: bool = False


@dataclass(slots=True)
class Items:
    """The items of one result, and what was wrong with it.

    Attributes:
        values: control -> the `value` of its items; only of well-formed items.
        missing: controls without the item that they need.
        faults: why an item cannot be used, one sentence each.
        others: controls outside the template, such as a comment box; they are no answers.
        prefilled: whether an item stems from a model's prediction.
        answered: whether `read` accepted any value so far.
    """

    values: Mapping[str, Sequence[Value]]
    missing: Sequence[str]
    faults: list[str]
    others: Sequence[str] = ()
    prefilled: bool = False
    answered: bool = False

    def read(self, control: str, reader: Callable[[Value], Read]) -> list[Read]:
        """What `reader` makes of a control's values; one that it refuses is one more fault."""
        found: list[Read] = []
        for value in self.values.get(control, ()):
            try:
                found.append(reader(value))
            except AnnotationError as error:
                self.faults.append(f"control {control!r}: {error}")
        self.answered = self.answered or bool(found)
        return found


def read_result(result: object, controls: Mapping[str, Control]) -> Items:
    """The items of an annotation's `result`; faults are told, never raised."""
    if not isinstance(result, list):
        return Items({}, (), [f"result is {_kind(result)}, expected a list of items"])
    kinds = {control.kind for control in controls.values()}
    others = [item["from_name"] for item in result if _is_other(item, controls, kinds)]
    items = [item for item in result if not _is_other(item, controls, kinds)]
    seen = Counter(_names(items, controls))
    single = [name for name, control in controls.items() if not control.many]
    repeated = {name: seen[name] for name in single if seen[name] > 1}
    values: dict[str, list[Value]] = {}
    faults: list[str] = []
    for item in items:
        try:
            name, value = _read_item(item, controls)
        except AnnotationError as error:
            faults.append(str(error))
        else:
            if name not in repeated:
                values.setdefault(name, []).append(value)
    faults += [f"control {name!r} is answered {n} times" for name, n in repeated.items()]
    missing = [name for name in single if not seen[name]]
    return Items(values, missing, faults, others, any(map(_is_predicted, items)))


def one_label(value: Value, name: str, known: Collection[str]) -> str:
    """The only label in the list `value[name]`; AnnotationError if it is not one of `known`."""
    labels = value.get(name)
    if not isinstance(labels, list) or len(labels) != 1:
        raise AnnotationError(f"{name} {labels!r}, expected exactly one")
    (label,) = labels
    if not isinstance(label, str) or label not in known:
        raise AnnotationError(f"label {label!r}, expected one of {', '.join(known)}")
    return label


def _read_item(item: object, controls: Mapping[str, Control]) -> tuple[str, Value]:
    """Control and `value` of one item; AnnotationError if the item does not fit its control."""
    if not isinstance(item, dict):
        raise AnnotationError(f"result item is {_kind(item)}, expected an object")
    name = item.get("from_name")
    if not isinstance(name, str) or name not in controls:
        raise AnnotationError(f"unknown control {name!r}; known: {', '.join(controls)}")
    for part, expected in (("type", controls[name].kind), ("to_name", controls[name].target)):
        if item.get(part) != expected:
            raise AnnotationError(
                f"control {name!r} has {part} {item.get(part)!r}, expected {expected!r}"
            )
    value = item.get("value")
    if not isinstance(value, dict):
        raise AnnotationError(f"control {name!r} has no value")
    return name, value


def _is_other(item: object, controls: Mapping[str, Control], kinds: Collection[str]) -> bool:
    """Whether an item belongs to a control added beside the template's, such as a comment box."""
    if not isinstance(item, dict):
        return False
    name, kind = item.get("from_name"), item.get("type")
    return (
        isinstance(name, str)
        and name not in controls
        and isinstance(kind, str)
        and kind not in kinds
    )


def _names(items: Sequence[object], controls: Mapping[str, Control]) -> list[str]:
    names = [item.get("from_name") for item in items if isinstance(item, dict)]
    return [name for name in names if isinstance(name, str) and name in controls]


def _is_predicted(item: object) -> bool:
    return isinstance(item, dict) and str(item.get("origin")) in _PREDICTED


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
