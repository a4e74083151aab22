"""Label Studio's export format, written: simulated or foreign answers go through the same parser.

The keys are those of a JSON export of label-studio 1.23.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence

from beholder.annotation.pairwise import CONTROLS, RANKS, TARGET
from beholder.errors import AnnotationError

EPOCH = "2026-01-01T00:00:00.000000Z"
"""The time written where none is given, so that equal answers give equal files."""

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
    """One annotation as it stands in an export; `export_task` adds what its task decides.

    `answers` is aspect -> "left", "tie" or "right"; leave aspects out for a partial answer.
    Raises AnnotationError if an aspect or a label is not of the template.
    """
    controls = {aspect: control for control, aspect in CONTROLS.items()}
    for aspect, label in answers.items():
        if aspect not in controls or label not in RANKS:
            raise AnnotationError(
                f"no answer {label!r} to {aspect!r}; aspects are {', '.join(controls)}, "
                f"labels are {', '.join(RANKS)}"
            )
    result = [] if skipped else [_item(controls[a], label) for a, label in answers.items()]
    return {
        "id": annotation_id,
        "completed_by": annotator,
        "result": result,
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


def export_task(
    data: Mapping[str, str],
    annotations: Sequence[Mapping[str, object]],
    *,
    task_id: int,
    project: int = 1,
    created_at: str = EPOCH,
) -> dict[str, object]:
    """One task of an export with its annotations.

    `data` holds task_key, prompt, image_left and image_right; AnnotationError if one is missing.
    """
    for name in ("task_key", "prompt", "image_left", "image_right"):
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


def _item(control: str, label: str) -> dict[str, object]:
    name = hashlib.blake2b(f"{control}/{label}".encode(), digest_size=5).hexdigest()
    return {
        "value": {"choices": [label]},
        "id": name,
        "from_name": control,
        "to_name": TARGET,
        "type": "choices",
        "origin": "manual",
    }
