"""Scores as predictions of Label Studio, which our own forms read back.

The shapes are those of label-studio 1.23. A control that the reward has nothing to say to is left
out: nothing is guessed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beholder.annotation.forms import pairwise, richhf
from beholder.annotation.forms.result import Control
from beholder.serving._label_studio.layout import Layout
from beholder.serving._label_studio.marks import points
from beholder.serving.items import RewardInfo, Scored
from beholder.types import RATED

_WIDTH = 1.3245  # of a point, in percent of the picture, as the form draws it
_STARS_RANGE = (0.0, 1.0)
_MISALIGNED = 0.5

Item = dict[str, object]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a reward would answer to a task.

    Attributes:
        result: items of Label Studio, such as one choice.
        score: how far the overall scores of a pair are apart, or a picture's overall score. Label
            Studio can show the lowest first: the pairs that are hardest to tell apart, or the
            pictures that are worst.
    """

    result: Sequence[Item]
    score: float


def model_version(info: RewardInfo) -> str:
    """A name of the reward with its weights and options; others have another."""
    told = json.dumps(info.identity, sort_keys=True, default=str).encode()
    return f"{info.name}-{hashlib.sha256(told).hexdigest()[:12]}"


def predicted(
    layout: Layout, info: RewardInfo, prompt: str | None, scores: Sequence[Scored]
) -> Prediction:
    """The prediction for a task from the scores of its pictures, the left one's first."""
    if layout.form == "pairwise":
        left, right = scores
        return Prediction(_choices(layout, left, right), abs(left.total - right.total))
    (scored,) = scores
    marks = [*_points(layout, scored), *_spans(layout, prompt or "", scored)]
    return Prediction([*marks, *_ratings(layout, info, scored)], scored.total)


def _choices(layout: Layout, left: Scored, right: Scored) -> list[Item]:
    """An answer to each dimension that both pictures have a score of; equal ones tie."""
    made = []
    for control, aspect in pairwise.CONTROLS.items():
        ours, theirs = _aspect(left, aspect), _aspect(right, aspect)
        if ours is None or theirs is None:
            continue
        label = "tie" if ours == theirs else "left" if ours > theirs else "right"
        if layout.offers(control, label):
            made.append(_item(control, pairwise.CHOICES, {"choices": [label]}))
    return made


def _aspect(scored: Scored, aspect: str) -> float | None:
    """The score of an aspect; the total stands for the overall impression where it has none."""
    value = scored.aspects.get(aspect)
    return scored.total if value is None and aspect == "overall" else value


def _points(layout: Layout, scored: Scored) -> list[Item]:
    height, width = scored.size
    sizes = {"original_width": width, "original_height": height, "image_rotation": 0}
    return [
        _richhf_item(
            "points",
            {"x": 100 * p.x, "y": 100 * p.y, "width": _WIDTH, "keypointlabels": [label]},
        )
        | sizes
        for label, kind in richhf.LABELS.items()
        if layout.offers("points", label) and kind in scored.maps
        for p in points(scored.maps[kind])
    ]


def _spans(layout: Layout, prompt: str, scored: Scored) -> list[Item]:
    if not layout.offers("words", richhf.WORD):
        return []
    return [
        _richhf_item(
            "words",
            {
                "start": word.start,
                "end": word.end,
                "text": prompt[word.start : word.end],
                "labels": [richhf.WORD],
            },
        )
        for word in scored.words
        if word.p_misaligned > _MISALIGNED
    ]


def _ratings(layout: Layout, info: RewardInfo, scored: Scored) -> list[Item]:
    """Stars of aspects in [0, 1]; scores of another range are no ratings."""
    if tuple(info.score_range) != _STARS_RANGE:
        return []
    values = {aspect: _aspect(scored, aspect) for aspect in RATED if aspect in layout.stars}
    return [
        _richhf_item(aspect, {"rating": _stars(value, layout.stars[aspect])})
        for aspect, value in values.items()
        if value is not None
    ]


def _stars(share: float, most: int) -> int:
    return 1 + round(min(max(share, 0.0), 1.0) * (most - 1))


def _richhf_item(name: str, value: Mapping[str, object]) -> Item:
    return _item(name, richhf.CONTROLS[name], value)


def _item(name: str, control: Control, value: Mapping[str, object]) -> Item:
    """One item; its id, which regions need, follows from what it says."""
    told = f"{name}/{json.dumps(value)}".encode()
    return {
        "id": hashlib.blake2b(told, digest_size=5).hexdigest(),
        "from_name": name,
        "to_name": control.target,
        "type": control.kind,
        "value": dict(value),
    }
