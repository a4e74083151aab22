"""What the annotators must not see: which picture stood on which side, and who made it.

One row a task, kept outside the labelling server, joins its answers to our pictures.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from beholder.errors import AnnotationError

Side = Literal["a", "b"]
Kind = Literal["ask", "repeat", "gold"]
GOLD = ("a", "tie", "b")
"""What the known answer of a gold pair can be."""

_COMMON = ("task_key", "kind", "repeats")
_GOLD = "gold_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every kind of task has that its annotators must not see.

    Attributes:
        task_key: the key of the task.
        kind: "ask" is a question; "repeat" shows another task's pair mirrored; "gold" has a
            known answer. Only the first kind becomes data, the others check the annotators.
        repeats: the key of the task that a "repeat" mirrors, else "".
        gold: aspect -> the known answer of a "gold" task: "a", "tie" or "b" for a pair, a rating
            in [0, 1] as text for a picture.
        extra: whatever else is known, such as "checkpoint_a" and "checkpoint_b".
    """

    task_key: str
    kind: Kind = "ask"
    repeats: str = ""
    gold: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)

    def _as_row(self, own: Mapping[str, str]) -> dict[str, str]:
        """One flat row, ready for JSON: what is default or empty is left out."""
        kind = {} if self.kind == "ask" else {"kind": self.kind}
        repeats = {"repeats": self.repeats} if self.repeats else {}
        gold = {f"{_GOLD}{aspect}": answer for aspect, answer in self.gold.items()}
        return {"task_key": self.task_key, **own, **kind, **repeats, **gold, **self.extra}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSides(Asked):
    """The two pictures of a task in their canonical order.

    Attributes:
        image_a, image_b: paths of the pictures.
        left_is: which of them was shown on the left.
    """

    image_a: str
    image_b: str
    left_is: Side

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> TaskSides:
        """The row as written by `write_mapping`; AnnotationError says what it lacks."""
        texts = _texts(row, ("task_key", "image_a", "image_b"))
        if row.get("left_is") not in {"a", "b"}:
            raise AnnotationError(f"left_is is {row.get('left_is')!r}, expected 'a' or 'b'")
        gold = _gold(row)
        for aspect, answer in gold.items():
            if answer not in GOLD:
                raise AnnotationError(
                    f"gold_{aspect} is {answer!r}, expected one of {', '.join(GOLD)}"
                )
        return cls(
            **texts,
            left_is=cast("Side", row["left_is"]),
            kind=_kind(row),
            repeats=str(row.get("repeats") or ""),
            gold=gold,
            extra=_extra(row, {"image_a", "image_b", "left_is"}),
        )

    def as_row(self) -> dict[str, str]:
        """One flat row, ready for JSON."""
        own = {"image_a": self.image_a, "image_b": self.image_b, "left_is": self.left_is}
        return self._as_row(own)

    def located(self, locate: Callable[[str], str]) -> TaskSides:
        """The same task with its pictures' paths changed."""
        return replace(self, image_a=locate(self.image_a), image_b=locate(self.image_b))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPicture(Asked):
    """The one picture of a task; `image` is its path."""

    image: str

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> TaskPicture:
        """The row as written by `write_mapping`; AnnotationError says what it lacks."""
        gold = _gold(row)
        for aspect, answer in gold.items():
            if not _is_share(answer):
                raise AnnotationError(f"gold_{aspect} is {answer!r}, expected a rating in [0, 1]")
        return cls(
            **_texts(row, ("task_key", "image")),
            kind=_kind(row),
            repeats=str(row.get("repeats") or ""),
            gold=gold,
            extra=_extra(row, {"image"}),
        )

    def as_row(self) -> dict[str, str]:
        """One flat row, ready for JSON."""
        return self._as_row({"image": self.image})

    def located(self, locate: Callable[[str], str]) -> TaskPicture:
        """The same task with its picture's path changed."""
        return replace(self, image=locate(self.image))


AnyTask = TaskSides | TaskPicture
Task = TypeVar("Task", TaskSides, TaskPicture)


def write_mapping(rows: Iterable[AnyTask], path: Path) -> None:
    """Write one JSON object a line."""
    lines = [json.dumps(row.as_row(), ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def read_mapping(path: Path, of: type[Task], images_root: Path | None = None) -> dict[str, Task]:
    """Tasks by their key from a JSONL, JSON (a list of objects) or CSV file.

    Relative pictures are looked for beside the file, then under `images_root`.
    Raises AnnotationError, naming the row, if one is malformed or repeats a key.
    """
    roots = [path.absolute().parent, *([images_root.absolute()] if images_root else [])]
    tasks: dict[str, Task] = {}
    for number, row in enumerate(_rows(path), start=1):
        try:
            one = of.from_row(_as_object(row))
        except AnnotationError as error:
            raise AnnotationError(f"{path}, row {number}: {error}") from error
        if one.task_key in tasks:
            raise AnnotationError(f"{path}, row {number}: task_key {one.task_key!r} is repeated")
        tasks[one.task_key] = one.located(lambda image: _locate(image, roots))
    return tasks


def _texts(row: Mapping[str, object], names: Sequence[str]) -> dict[str, Any]:
    for name in names:
        if not isinstance(row.get(name), str) or not row[name]:
            raise AnnotationError(f"{name} is {row.get(name)!r}, expected text")
    return {name: row[name] for name in names}


def _kind(row: Mapping[str, object]) -> Kind:
    kind = row.get("kind") or "ask"
    if kind not in get_args(Kind):
        raise AnnotationError(f"kind is {kind!r}, expected one of {', '.join(get_args(Kind))}")
    return cast("Kind", kind)


def _gold(row: Mapping[str, object]) -> dict[str, str]:
    """Aspect -> known answer from the columns gold_<aspect>; an empty cell is none."""
    return {
        name.removeprefix(_GOLD): str(value)
        for name, value in row.items()
        if name.startswith(_GOLD) and value not in {None, ""}
    }


def _extra(row: Mapping[str, object], own: Collection[str]) -> dict[str, str]:
    return {
        name: str(value)
        for name, value in row.items()
        if not (name in own or name in _COMMON or name.startswith(_GOLD) or value is None)
    }


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


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


def _locate(image: str, roots: Sequence[Path]) -> str:
    if Path(image).is_absolute() or "://" in image:
        return image
    candidates = [root / image for root in roots]
    return str(next((path for path in candidates if path.is_file()), candidates[0]))
