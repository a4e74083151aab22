"""Judgements back from Label Studio: its JSON export of the pairwise template -> comparisons.

A record that cannot be used never stops the import: it is flagged or listed as a problem.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from beholder.annotation.mapping import TaskSides
from beholder.annotation.pairwise import RANKS, Answers, read_result
from beholder.annotation.pictures import resolve_picture
from beholder.errors import AnnotationError
from beholder.types import Comparison

FLAGS = (
    "skipped",
    "ground_truth",
    "prefilled",
    "edited_by_other",
    "partial",
    "unknown_user",
    "duplicate",
    "invalid",
    "empty",
)
"""Every flag that `parse_export` sets."""

_LONGEST_SECONDS = 10**9
_DATA = ("prompt", "image_left", "image_right")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one record: its task's key and its own id ("" if they are unknown)."""

    task_key: str
    record: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of every record of an export.

    `annotations` always equals `comparisons + unreadable + superseded`.

    Attributes:
        tasks, annotations: what the exports hold.
        comparisons: rows that came out, flagged or not; `clean` of them carry no flag.
        flags: flag -> rows that carry it.
        drafts: unfinished answers, which are ignored.
        superseded: older versions of an annotation that the exports hold more than once.
        unreadable: annotations that could not become a row; each has its problem.
        other_controls: items of controls outside the template, such as a comment box.
        problems: everything that was wrong, by task.
        missing_pictures: pictures that a row names but that are no file.
        pictures_on_server: pictures still named as the server names them, which nobody looked for.
        reliability: aspect -> annotator -> reliability, if it was estimated.
    """

    tasks: int = 0
    annotations: int = 0
    comparisons: int = 0
    clean: int = 0
    flags: Mapping[str, int] = field(default_factory=dict)
    drafts: int = 0
    superseded: int = 0
    unreadable: int = 0
    other_controls: Mapping[str, int] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    missing_pictures: Sequence[str] = ()
    pictures_on_server: int = 0
    reliability: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The same as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Row:
    comparison: Comparison
    changed: str  # ISO time in UTC: sorts as text


@dataclass(slots=True)
class _Reader:
    """Reads tasks and keeps the books."""

    mapping: Mapping[str, TaskSides] | None
    images_root: Path | None
    salt: str | None
    tasks: int = 0
    annotations: int = 0
    drafts: int = 0
    unreadable: int = 0
    number: int = 0
    others: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def read_task(self, task: object) -> list[_Row]:
        self.tasks += 1
        if not isinstance(task, dict):
            self.problem("", "", f"the task is {_kind(task)}, expected an object")
            return []
        key = _task_key(task)
        self.drafts += len(_list(task.get("drafts")))
        annotations = task.get("annotations")
        if not isinstance(annotations, list):
            self.problem(key, "", f"annotations are {_kind(annotations)}, expected a list")
            return []
        self.annotations += len(annotations)
        try:
            question = self.question(key, task.get("data"))
        except AnnotationError as error:
            self.unreadable += len(annotations)
            self.problem(key, "", f"{error}; its {len(annotations)} annotations are left out")
            return []
        return [row for one in annotations for row in self.read_annotation(question, one)]

    def question(self, key: str, data: object) -> Comparison:
        """The task as a comparison that nobody answered: left picture first."""
        if not isinstance(data, dict):
            raise AnnotationError(f"the task's data are {_kind(data)}, expected an object")
        if not key:
            raise AnnotationError("data.task_key is missing; task ids of the server are reused")
        prompt, *shown = [_text(data, name) for name in _DATA]
        images = tuple(resolve_picture(reference, self.images_root) for reference in shown)
        sides = (self.mapping or {}).get(key)
        if sides is not None:
            images = (sides.image_a, sides.image_b)
        elif self.mapping is not None:
            self.problem(key, "", "the mapping does not name it; kept as left and right")
        return Comparison(key=key, prompt=prompt, images=images, ranks={})

    def read_annotation(self, question: Comparison, annotation: object) -> list[_Row]:
        if not isinstance(annotation, dict):
            self.unreadable += 1
            self.problem(question.key, "", f"an annotation is {_kind(annotation)}, not an object")
            return []
        self.number += 1
        record = _record_id(annotation, f"{question.key}#{self.number}")
        answers = read_result(annotation.get("result"))
        self.others.update(answers.others)
        person = _person(annotation.get("completed_by"))
        for fault in answers.faults:
            self.problem(question.key, record, fault)
        comparison = replace(
            question,
            ranks={a: self.ranks(question.key, label) for a, label in answers.labels.items()},
            annotator="unknown" if person is None else _opaque(person, self.salt),
            seconds=_seconds(annotation.get("lead_time")),
            source=f"label_studio:{record}",
            flags=frozenset(_flags(annotation, answers, person)),
        )
        changed = annotation.get("updated_at") or annotation.get("created_at")
        return [_Row(comparison, changed if isinstance(changed, str) else "")]

    def ranks(self, key: str, label: str) -> tuple[int, int]:
        left, right = RANKS[label]
        sides = (self.mapping or {}).get(key)
        return (right, left) if sides is not None and sides.left_is == "b" else (left, right)

    def problem(self, key: str, record: str, reason: str) -> None:
        self.problems.append(Problem(key, record, reason))


def read_export(path: Path) -> list[object]:
    """The tasks in an export file; AnnotationError if it is not Label Studio's JSON format."""
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AnnotationError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} is not JSON: {error}; export the project as JSON") from error
    if not isinstance(tasks, list):
        raise AnnotationError(f"{path} holds {_kind(tasks)}, expected a list of tasks")
    if tasks and not any(isinstance(t, dict) and "annotations" in t for t in tasks):
        raise AnnotationError(
            f"{path}: no task has 'annotations'; export as JSON, not JSON-MIN or a list of tasks"
        )
    return tasks


def parse_export(
    tasks: Iterable[object],
    *,
    mapping: Mapping[str, TaskSides] | None = None,
    images_root: Path | None = None,
    salt: str | None = None,
) -> tuple[list[Comparison], ImportReport]:
    """One comparison for each annotation, in the export's order, and what was wrong.

    Args:
        tasks: what `read_export` gave, of one or several exports one after another.
        mapping: sides by task key; images are then (a, b) with the side swap undone. Without it,
            and for a task that it does not name, they are (left, right).
        images_root: the folder that the server's local files are relative to.
        salt: makes annotators' ids unguessable; without it "annotator-6" is user 6.
    """
    reader = _Reader(mapping, images_root, salt)
    rows = [row for task in tasks for row in reader.read_task(task)]
    latest = _latest_versions(rows)
    comparisons = _flag_duplicates(latest)
    counts = Counter(flag for c in comparisons for flag in c.flags)
    report = ImportReport(
        tasks=reader.tasks,
        annotations=reader.annotations,
        comparisons=len(comparisons),
        clean=sum(not c.flags for c in comparisons),
        flags={flag: counts[flag] for flag in FLAGS if counts[flag]},
        drafts=reader.drafts,
        superseded=len(rows) - len(latest),
        unreadable=reader.unreadable,
        other_controls=dict(reader.others),
        problems=tuple(reader.problems),
    )
    return comparisons, report


def _flags(annotation: Mapping[str, object], answers: Answers, person: int | None) -> Iterable[str]:
    skipped = annotation.get("was_cancelled") is True
    editor = _person(annotation.get("updated_by"))
    silent = not answers.labels and not answers.faults
    held = {
        "skipped": skipped,
        "ground_truth": annotation.get("ground_truth") is True,
        "prefilled": answers.prefilled or annotation.get("parent_prediction") is not None,
        "edited_by_other": editor is not None and editor != person,
        "partial": bool(answers.labels) and bool(answers.missing) and not skipped,
        "unknown_user": person is None,
        "invalid": bool(answers.faults),
        "empty": silent and not skipped,
    }
    return (flag for flag, holds in held.items() if holds)


def _latest_versions(rows: Sequence[_Row]) -> list[_Row]:
    """One row a record: exports that overlap hold the same annotation several times."""
    latest: dict[tuple[str, str], _Row] = {}
    for row in rows:
        record = row.comparison.key, row.comparison.source
        if record not in latest or row.changed >= latest[record].changed:
            latest[record] = row
    return list(latest.values())


def _flag_duplicates(rows: Sequence[_Row]) -> list[Comparison]:
    """Flag all but one answer of an annotator to a task; the latest clean one stays."""
    groups: defaultdict[tuple[str, str], list[_Row]] = defaultdict(list)
    for row in rows:
        if "unknown_user" not in row.comparison.flags:
            groups[row.comparison.key, row.comparison.annotator].append(row)
    flagged = {
        (row.comparison.key, row.comparison.source)
        for group in groups.values()
        for row in sorted(group, key=lambda r: (not r.comparison.flags, r.changed))[:-1]
    }
    return [
        replace(c, flags=c.flags | {"duplicate"}) if (c.key, c.source) in flagged else c
        for c in (row.comparison for row in rows)
    ]


def _task_key(task: Mapping[str, object]) -> str:
    data = task.get("data")
    key = data.get("task_key") if isinstance(data, dict) else None
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    return key if isinstance(key, str) and _is_unicode(key) else ""


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise AnnotationError(f"data.{name} is {_kind(value)}, expected text")
    if not _is_unicode(value):
        raise AnnotationError(f"data.{name} holds a lone surrogate and is not valid Unicode")
    return value


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _person(value: object) -> int | None:
    """The id of a user, given as a number or an object; an e-mail address is not taken."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _opaque(person: int, salt: str | None) -> str:
    if salt is None:
        return f"annotator-{person}"
    digest = hmac.new(salt.encode(), str(person).encode(), "sha256").hexdigest()
    return f"annotator-{digest[:12]}"


def _record_id(annotation: Mapping[str, object], otherwise: str) -> str:
    unique = annotation.get("unique_id")
    return unique if isinstance(unique, str) and unique and _is_unicode(unique) else otherwise


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LONGEST_SECONDS else None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _kind(value: object) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"
