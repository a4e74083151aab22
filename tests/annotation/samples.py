"""Records that several tests share: the real export, and small ones made to measure."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beholder.annotation.reading.label_studio_export import (
    export_annotation,
    export_rating,
    export_task,
)
from beholder.types import RATED, Comparison, Rating

EXPORT = Path(__file__).parents[1] / "data" / "label_studio" / "export_pairwise.json"
RICH_EXPORT = EXPORT.with_name("export_richhf.json")
ALL_LEFT = dict.fromkeys(("aesthetics", "detail", "alignment", "overall"), "left")
ALL_GOOD = dict.fromkeys(RATED, 0.75)


def real_tasks() -> list[Any]:
    return copy.deepcopy(json.loads(EXPORT.read_text()))


def annotation(number: int = 1, answers: Mapping[str, str] = ALL_LEFT, **changes: Any) -> Any:
    made = export_annotation(answers, annotator=changes.pop("annotator", 6), annotation_id=number)
    return {**made, **changes}


def task(*annotations: Any, key: str = "k", number: int = 1) -> Any:
    data = {"task_key": key, "prompt": "a fox", "image_left": "l.png", "image_right": "r.png"}
    return export_task(data, annotations, task_id=number)


def comparison(key: str, annotator: str, value: int, **changes: Any) -> Comparison:
    """One answer in the aspect "overall": -1 for the first picture, 0 for a tie, 1."""
    ranks = {-1: (1, 2), 0: (1, 1), 1: (2, 1)}[value]
    given = {"images": (f"{key}-a", f"{key}-b"), "ranks": {"overall": ranks}, **changes}
    return Comparison(key=key, prompt="a fox", annotator=annotator, **given)


def real_ratings() -> list[Any]:
    return copy.deepcopy(json.loads(RICH_EXPORT.read_text()))


def rating(key: str = "k", annotator: str = "x", **changes: Any) -> Rating:
    given = {"prompt": "a red fox", "image": f"{key}.png", "values": ALL_GOOD, **changes}
    return Rating(key=key, annotator=annotator, **given)


def rated(number: int = 1, given: Rating | None = None, **changes: Any) -> Any:
    annotator = changes.pop("annotator", 6)
    made = export_rating(given or rating(), annotator=annotator, annotation_id=number)
    return {**made, **changes}


def rating_task(*annotations: Any, key: str = "k", number: int = 1) -> Any:
    data = {"task_key": key, "prompt": "a red fox", "image": f"{key}.png"}
    return export_task(data, annotations, task_id=number)
