"""The pairwise form of Label Studio: two pictures, one answer in each of four aspects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from typing_extensions import override

from beholder.annotation.forms.form import Form, Shown
from beholder.annotation.forms.result import Control, Items, Value, one_label, read_result
from beholder.annotation.mapping import TaskSides, read_mapping
from beholder.types import Comparison

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

CHOICES = Control("choices", "prompt")
"""What all four controls are."""


class Pairwise(Form[Comparison]):
    """Answers as comparisons of (a, b) with the side swap undone, or of (left, right)."""

    name = "pairwise"
    pictures = ("image_left", "image_right")
    record = Comparison

    @override
    def read(self, shown: Shown, result: object) -> tuple[Comparison, Items]:
        sides = shown.asked_as(TaskSides)
        step = -1 if sides is not None and sides.left_is == "b" else 1
        items = read_result(result, dict.fromkeys(CONTROLS, CHOICES))
        comparison = Comparison(
            key=shown.key,
            prompt=shown.prompt,
            images=(sides.image_a, sides.image_b) if sides else shown.images,
            ranks={
                aspect: RANKS[label][::step]
                for control, aspect in CONTROLS.items()
                for label in items.read(control, _label)
            },
        )
        return comparison, items

    @override
    def read_mapping(self, path: Path, images_root: Path | None) -> Mapping[str, TaskSides]:
        return read_mapping(path, TaskSides, images_root)


FORM = Pairwise()


def _label(value: Value) -> str:
    return one_label(value, "choices", RANKS)
