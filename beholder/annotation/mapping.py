"""What the annotators must not see: which picture stood on which side, and who made it.

One row a task, kept outside the labelling server, joins its answers to our pictures.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from beholder.errors import AnnotationError

Side = Literal["a", "b"]
_TEXTS = ("task_key", "image_a", "image_b")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSides:
    """The two pictures of a task in their canonical order.

    Attributes:
        task_key: the key of the task.
        image_a, image_b: paths of the pictures.
        left_is: which of them was shown on the left.
        extra: whatever else is known, such as "checkpoint_a" and "checkpoint_b".
    """

    task_key: str
    image_a: str
    image_b: str
    left_is: Side
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> TaskSides:
        """The row as written by `write_mapping`; AnnotationError says what it lacks."""
        for name in _TEXTS:
            if not isinstance(row.get(name), str) or not row[name]:
                raise AnnotationError(f"{name} is {row.get(name)!r}, expected text")
        if row.get("left_is") not in {"a", "b"}:
            raise AnnotationError(f"left_is is {row.get('left_is')!r}, expected 'a' or 'b'")
        known = {*_TEXTS, "left_is"}
        return cls(
            task_key=str(row["task_key"]),
            image_a=str(row["image_a"]),
            image_b=str(row["image_b"]),
            left_is=cast("Side", row["left_is"]),
            extra={k: str(v) for k, v in row.items() if k not in known and v is not None},
        )

    def as_row(self) -> dict[str, str]:
        """One flat row, ready for JSON."""
        named = {"task_key": self.task_key, "image_a": self.image_a, "image_b": self.image_b}
        return {**named, "left_is": self.left_is, **self.extra}


def write_mapping(rows: Iterable[TaskSides], path: Path) -> None:
    """Write one JSON object a line."""
    lines = [json.dumps(row.as_row(), ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def read_mapping(path: Path, images_root: Path | None = None) -> dict[str, TaskSides]:
    """Sides by task key from a JSONL, JSON (a list of objects) or CSV file.

    Relative pictures are looked for beside the file, then under `images_root`.
    Raises AnnotationError, naming the row, if one is malformed or repeats a key.
    """
    roots = [path.absolute().parent, *([images_root.absolute()] if images_root else [])]
    sides: dict[str, TaskSides] = {}
    for number, row in enumerate(_rows(path), start=1):
        try:
            one = TaskSides.from_row(_as_object(row))
        except AnnotationError as error:
            raise AnnotationError(f"{path}, row {number}: {error}") from error
        if one.task_key in sides:
            raise AnnotationError(f"{path}, row {number}: task_key {one.task_key!r} is repeated")
        sides[one.task_key] = _located(one, roots)
    return sides


def _rows(path: Path) -> Sequence[object]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            return list(csv.DictReader(text.splitlines()))
        if text.lstrip().startswith("["):
            return cast("list[object]", json.loads(text))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except OSError as error:
        raise AnnotationError(f"cannot read the mapping {path}: {error.strerror}") from error
    except ValueError as error:
        raise AnnotationError(f"{path} is neither JSONL, JSON nor CSV: {error}") from error


def _as_object(row: object) -> Mapping[str, object]:
    if not isinstance(row, dict):
        raise AnnotationError(f"expected an object, got {type(row).__name__}")
    return row


def _located(sides: TaskSides, roots: Sequence[Path]) -> TaskSides:
    return TaskSides(
        task_key=sides.task_key,
        image_a=_locate(sides.image_a, roots),
        image_b=_locate(sides.image_b, roots),
        left_is=sides.left_is,
        extra=sides.extra,
    )


def _locate(image: str, roots: Sequence[Path]) -> str:
    if Path(image).is_absolute() or "://" in image:
        return image
    candidates = [root / image for root in roots]
    return str(next((path for path in candidates if path.is_file()), candidates[0]))
