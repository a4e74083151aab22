"""The RichHF form of Label Studio: faults of one picture marked, words it misses, four ratings.

After Liang et al. (CVPR 2024): points of implausibility and misalignment, misaligned words, and
ratings of plausibility, alignment, aesthetics and overall quality on a scale of five.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from typing_extensions import TypeIs, override

from beholder.annotation.forms.form import Form, Shown
from beholder.annotation.forms.result import Control, Items, Value, one_label, read_result
from beholder.annotation.mapping import TaskPicture, read_mapping
from beholder.errors import AnnotationError
from beholder.types import MAPS, RATED, Point, Rating

STARS = 5
"""The highest rating; the lowest is 1, since 0 is how the form shows that nothing was chosen."""

LABELS: Mapping[str, str] = MappingProxyType(
    dict(zip(("implausible", "misaligned"), MAPS, strict=True))
)
"""Label of a point -> kind of map."""

WORD = "misaligned_word"
"""The label of a span of the prompt."""

CONTROLS: Mapping[str, Control] = MappingProxyType(
    {
        "points": Control("keypointlabels", "image", many=True),
        "words": Control("labels", "prompt", many=True),
        **dict.fromkeys(RATED, Control("rating", "image")),
    }
)
"""Controls of the template in the order of the form; the ratings are named as their aspects."""


class RichHF(Form[Rating]):
    """Answers as ratings: stars 1 to 5 become 0 to 1, percent of the picture become shares."""

    name = "richhf"
    pictures = ("image",)
    record = Rating

    @override
    def read(self, shown: Shown, result: object) -> tuple[Rating, Items]:
        asked = shown.asked_as(TaskPicture)
        items = read_result(result, CONTROLS)
        points = items.read("points", _point)
        spans = items.read("words", lambda value: _span(value, shown.prompt))
        rating = Rating(
            key=shown.key,
            prompt=shown.prompt,
            image=asked.image if asked else shown.images[0],
            values={aspect: share for aspect in RATED for share in items.read(aspect, _share)},
            points={kind: tuple(p for k, p in points if k == kind) for kind, _ in points},
            misaligned=tuple(sorted(spans)),
        )
        return rating, items

    @override
    def read_mapping(self, path: Path, images_root: Path | None) -> Mapping[str, TaskPicture]:
        return read_mapping(path, TaskPicture, images_root)


FORM = RichHF()


def _share(value: Value) -> float:
    stars = value.get("rating")
    if not _is_whole(stars) or not 1 <= stars <= STARS:
        raise AnnotationError(f"rating {stars!r}, expected a whole number from 1 to {STARS}")
    return (stars - 1) / (STARS - 1)


def _point(value: Value) -> tuple[str, Point]:
    kind = LABELS[one_label(value, "keypointlabels", LABELS)]
    x, y, _ = [_percent(value, name) for name in ("x", "y", "width")]
    return kind, Point(x / 100, y / 100)


def _percent(value: Value, name: str) -> float:
    percent = value.get(name)
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
        raise AnnotationError(f"{name} {percent!r}, expected percent from 0 to 100")
    return float(percent)


def _span(value: Value, prompt: str) -> tuple[int, int]:
    """Start and end in code points, end exclusive, as the server counts them."""
    one_label(value, "labels", (WORD,))
    start, end, text = (value.get(name) for name in ("start", "end", "text"))
    if not _is_whole(start) or not _is_whole(end) or not 0 <= start < end <= len(prompt):
        raise AnnotationError(
            f"span {start!r} to {end!r}, expected whole numbers in order within the prompt's "
            f"{len(prompt)} characters"
        )
    if text != prompt[start:end]:
        raise AnnotationError(
            f"span {start} to {end} has text {text!r}, but the prompt has {prompt[start:end]!r}"
        )
    return start, end


def _is_whole(value: object) -> TypeIs[int]:
    return isinstance(value, int) and not isinstance(value, bool)
