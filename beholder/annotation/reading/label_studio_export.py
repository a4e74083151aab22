"""Label Studio's export format, written: simulated or foreign answers go through the same parser.

The keys are those of a JSON export of label-studio 1.23.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence

from beholder.annotation.forms import pairwise, richhf
from beholder.annotation.forms.form import find_form
from beholder.annotation.forms.result import Control
from beholder.errors import AnnotationError
from beholder.types import RATED, Rating

EPOCH = "2026-01-01T00:00:00.000000Z"
"""The time written where none is given, so that equal answers give equal files."""

_WIDTH = 1.3245  # of a point, in percent of the picture, as the form draws it
_NAMESPACE = uuid.UUID("b5bb1f0c-7d1f-4d8f-9d63-0b6f1a8e2c55")


def export_annotation(
    answers: Mapping[str, str],
    *,
    annotator: int,
    annotation_id: int,
    seconds: float | None = None,
    skipped: bool = False,
    created_at: str = EPOCH,
) -> dict[str, object]:
    """One annotation of a pair as it stands in an export; `export_task` adds what its task decides.

    `answers` is aspect -> "left", "tie" or "right"; leave aspects out for a partial answer.
    Raises AnnotationError if an aspect or a label is not of the template.
    """
    controls = {aspect: control for control, aspect in pairwise.CONTROLS.items()}
    for aspect, label in answers.items():
        if aspect not in controls or label not in pairwise.RANKS:
            raise AnnotationError(
                f"no answer {label!r} to {aspect!r}; aspects are {', '.join(controls)}, "
                f"labels are {', '.join(pairwise.RANKS)}"
            )
    result = [
        _item(controls[aspect], pairwise.CHOICES, {"choices": [label]})
        for aspect, label in answers.items()
    ]
    return _annotation(
        [] if skipped else result, annotator, annotation_id, seconds, skipped, created_at
    )


def export_rating(
    rating: Rating,
    *,
    annotator: int,
    annotation_id: int,
    skipped: bool = False,
    created_at: str = EPOCH,
) -> dict[str, object]:
    """One annotation of a picture as it stands in an export, with the rating's seconds.

    Raises AnnotationError if a value lies between two stars, or an aspect or a kind of points is
    not of the template.
    """
    result = [] if skipped else [*_stars(rating), *_points(rating), *_spans(rating)]
    return _annotation(result, annotator, annotation_id, rating.seconds, skipped, created_at)


def export_task(
    data: Mapping[str, str],
    annotations: Sequence[Mapping[str, object]],
    *,
    task_id: int,
    project: int = 1,
    created_at: str = EPOCH,
) -> dict[str, object]:
    """One task of an export with its annotations.

    `data` holds task_key, prompt and the pictures of a form: image_left and image_right, or
    image. Raises AnnotationError if one is missing.
    """
    form = find_form([data])
    for name in ("task_key", "prompt", *form.pictures):
        if not data.get(name):
            raise AnnotationError(f"a task needs data.{name}")
    cancelled = sum(a["was_cancelled"] is True for a in annotations)
    return {
        "id": task_id,
        "annotations": [{**a, "task": task_id, "project": project} for a in annotations],
        "drafts": [],
        "predictions": [],
        "data": dict(data),
        "meta": {},
        "created_at": created_at,
        "updated_at": created_at,
        "allow_skip": True,
        "inner_id": task_id,
        "total_annotations": len(annotations) - cancelled,
        "cancelled_annotations": cancelled,
        "total_predictions": 0,
        "comment_count": 0,
        "unresolved_comment_count": 0,
        "last_comment_updated_at": None,
        "project": project,
        "updated_by": annotations[-1]["updated_by"] if annotations else None,
        "comment_authors": [],
    }


def _annotation(
    result: Sequence[Mapping[str, object]],
    annotator: int,
    annotation_id: int,
    seconds: float | None,
    skipped: bool,
    created_at: str,
) -> dict[str, object]:
    return {
        "id": annotation_id,
        "completed_by": annotator,
        "result": list(result),
        "was_cancelled": skipped,
        "ground_truth": False,
        "created_at": created_at,
        "updated_at": created_at,
        "draft_created_at": None,
        "lead_time": seconds,
        "prediction": {},
        "result_count": len(result),
        "unique_id": str(uuid.uuid5(_NAMESPACE, f"annotation/{annotation_id}")),
        "import_id": None,
        "last_action": None,
        "bulk_created": False,
        "updated_by": annotator,
        "parent_prediction": None,
        "parent_annotation": None,
        "last_created_by": None,
    }


def _stars(rating: Rating) -> list[dict[str, object]]:
    for aspect, value in rating.values.items():
        if aspect not in RATED or not (value * (richhf.STARS - 1)).is_integer():
            raise AnnotationError(
                f"no rating {value} of {aspect!r}; aspects are {', '.join(RATED)}, "
                f"values are those of {richhf.STARS} stars between 0 and 1"
            )
    stars = {a: 1 + int(value * (richhf.STARS - 1)) for a, value in rating.values.items()}
    return [_richhf_item(aspect, {"rating": n}) for aspect, n in stars.items()]


def _points(rating: Rating) -> list[dict[str, object]]:
    labels = {kind: label for label, kind in richhf.LABELS.items()}
    strangers = rating.points.keys() - labels
    if strangers:
        raise AnnotationError(f"no points of {sorted(strangers)}; kinds are {', '.join(labels)}")
    return [
        _richhf_item(
            "points",
            {"x": 100 * p.x, "y": 100 * p.y, "width": _WIDTH, "keypointlabels": [labels[kind]]},
        )
        for kind, points in rating.points.items()
        for p in points
    ]


def _spans(rating: Rating) -> list[dict[str, object]]:
    return [
        _richhf_item(
            "words",
            {
                "start": start,
                "end": end,
                "text": rating.prompt[start:end],
                "labels": [richhf.WORD],
            },
        )
        for start, end in rating.misaligned
    ]


def _richhf_item(name: str, value: Mapping[str, object]) -> dict[str, object]:
    return _item(name, richhf.CONTROLS[name], value)


def _item(name: str, control: Control, value: Mapping[str, object]) -> dict[str, object]:
    told = f"{name}/{json.dumps(value)}".encode()
    return {
        "value": dict(value),
        "id": hashlib.blake2b(told, digest_size=5).hexdigest(),
        "from_name": name,
        "to_name": control.target,
        "type": control.kind,
        "origin": "manual",
    }
