"""A labelling configuration: which of our controls it has, and which data its pictures come from.

Only tags and attributes are read, one after another: nothing is nested, expanded or resolved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal
from xml.parsers import expat

from beholder.annotation.forms import pairwise, richhf
from beholder.annotation.forms.result import Control
from beholder.errors import DataError

MOST_CHARACTERS = 1_000_000

_PAIR: Mapping[str, Control] = MappingProxyType(dict.fromkeys(pairwise.CONTROLS, pairwise.CHOICES))
_FORMS: Mapping[Literal["pairwise", "richhf"], tuple[Mapping[str, Control], tuple[str, ...]]] = (
    MappingProxyType(
        {"pairwise": (_PAIR, ("left", "right")), "richhf": (richhf.CONTROLS, ("image",))}
    )
)
"""Form -> its controls, and the names of the objects that show its pictures."""

_PROMPT = "prompt"
_COUNT = re.compile("[2-9]|[1-9][0-9]")
_LABELS = {"Choice": ("alias", "value"), "Label": ("alias", "value")}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a configuration has of a form of ours.

    Attributes:
        form: "pairwise" or "richhf".
        pictures: the fields of a task's data that name its pictures, the left one first.
        prompt: the field that holds the prompt; "" if none is shown.
        labels: control -> the labels that it offers; empty for a rating.
        stars: control -> the highest rating.
    """

    form: Literal["pairwise", "richhf"]
    pictures: tuple[str, ...]
    prompt: str
    labels: Mapping[str, tuple[str, ...]]
    stars: Mapping[str, int]

    def offers(self, control: str, label: str) -> bool:
        """Whether a control is there and has this label."""
        return label in self.labels.get(control, ())


@dataclass(slots=True)
class _Tag:
    kind: str
    attributes: Mapping[str, str]
    labels: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.attributes.get("name", "")

    @property
    def of(self) -> str:
        """The field of the data that an object shows."""
        value = self.attributes.get("value", "")
        return value[1:] if value.startswith("$") else ""


def read_layout(config: str) -> Layout:
    """The layout of a labelling configuration.

    Raises:
        DataError: if it is no XML, or has none of our controls and pictures.
    """
    tags = _tags(config)
    objects = {(tag.kind, tag.name): tag.of for tag in tags if tag.of}
    for form, (controls, shown) in _FORMS.items():
        pictures = tuple(objects.get(("image", name), "") for name in shown)
        found = [tag for tag in tags if _is_ours(tag, controls)]
        if found and all(pictures):
            return Layout(
                form=form,
                pictures=pictures,
                prompt=objects.get(("text", _PROMPT), ""),
                labels={tag.name: tuple(tag.labels) for tag in found},
                stars={tag.name: _stars(tag) for tag in found if tag.kind == "rating"},
            )
    raise DataError(f"the labelling configuration has none of our controls; expected {_expected()}")


def is_empty(config: str) -> bool:
    """Whether a configuration labels nothing, as one that nobody wrote yet; DataError if no XML."""
    return not any("toName" in tag.attributes for tag in _tags(config))


def _is_ours(tag: _Tag, controls: Mapping[str, Control]) -> bool:
    control = controls.get(tag.name)
    target = tag.attributes.get("toName")
    return control is not None and (tag.kind, target) == (control.kind, control.target)


def _stars(tag: _Tag) -> int:
    given = tag.attributes.get("maxRating", "")
    return int(given) if _COUNT.fullmatch(given) else richhf.STARS


def _expected() -> str:
    return "; or ".join(
        f"{form}: Image {' and '.join(shown)} with "
        + ", ".join(f"{c.kind} {name!r} to {c.target!r}" for name, c in controls.items())
        for form, (controls, shown) in _FORMS.items()
    )


def _tags(config: str) -> Sequence[_Tag]:
    """Every element of the configuration, in order, with the labels that a control offers."""
    if len(config) > MOST_CHARACTERS:
        raise DataError(f"a labelling configuration has at most {MOST_CHARACTERS:,} characters")
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(config, True)  # noqa: FBT003  (it takes no keyword)
    except (expat.ExpatError, UnicodeError) as error:
        raise DataError(f"the labelling configuration is no XML: {error}") from error
    return reading.tags


class _Reading:
    def __init__(self) -> None:
        self.tags: list[_Tag] = []
        self._open: list[_Tag] = []  # controls around what is read now

    def start(self, kind: str, attributes: dict[str, str]) -> None:
        if kind in _LABELS and self._open:
            said = (attributes[key] for key in _LABELS[kind] if attributes.get(key))
            self._open[-1].labels += list(said)[:1]
        tag = _Tag(kind.lower(), attributes)
        self.tags.append(tag)
        if "toName" in attributes:
            self._open.append(tag)

    def end(self, kind: str) -> None:
        if self._open and self._open[-1].kind == kind.lower():
            self._open.pop()


def _refuse_doctype(*_: object) -> None:
    raise DataError("the labelling configuration declares a document type, which none needs")
