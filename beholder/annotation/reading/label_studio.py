"""Judgements back from Label Studio: its JSON export, of any form -> comparisons or ratings.

A record that cannot be used never stops the import: it is flagged or listed as a problem.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from beholder.annotation.forms import pairwise
from beholder.annotation.forms.form import AnyRecord, Form, Shown
from beholder.annotation.forms.result import Items
from beholder.annotation.mapping import AnyTask, TaskSides
from beholder.annotation.reading.archive import DELETED
from beholder.annotation.reading.pictures import resolve_picture
from beholder.errors import AnnotationError
from beholder.types import Comparison

Record = TypeVar("Record", bound=AnyRecord)

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
    "gold",
    "repeat",
    "deleted",
)
"""Every flag that `parse_tasks` sets.

"gold" and "repeat" say what the task was for, "deleted" that the annotation left the server.
"""

_PURPOSES = frozenset({"gold", "repeat"})
_LONGEST_SECONDS = 10**9


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
        template: the form that asked.
        tasks, annotations: what the exports hold.
        comparisons: rows that came out, flagged or not, be they comparisons or ratings; `clean`
            of them carry no flag.
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

    template: str = "pairwise"
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
class _Row(Generic[Record]):
    record: Record
    changed: str  # ISO time in UTC: sorts as text


@dataclass(slots=True)
class _Reader(Generic[Record]):
    """Reads tasks and keeps the books."""

    form: Form[Record]
    mapping: Mapping[str, AnyTask] | None
    images_root: Path | None
    salt: str | None
    tasks: int = 0
    annotations: int = 0
    drafts: int = 0
    unreadable: int = 0
    number: int = 0
    others: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def read_task(self, task: object) -> list[_Row[Record]]:
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
            shown = self.shown(key, task.get("data"))
        except AnnotationError as error:
            self.unreadable += len(annotations)
            self.problem(key, "", f"{error}; its {len(annotations)} annotations are left out")
            return []
        return [row for one in annotations for row in self.read_annotation(shown, one)]

    def shown(self, key: str, data: object) -> Shown:
        if not isinstance(data, dict):
            raise AnnotationError(f"the task's data are {_kind(data)}, expected an object")
        if not key:
            raise AnnotationError("data.task_key is missing; task ids of the server are reused")
        prompt, *pictures = [_text(data, name) for name in ("prompt", *self.form.pictures)]
        images = tuple(resolve_picture(reference, self.images_root) for reference in pictures)
        asked = (self.mapping or {}).get(key)
        if asked is None and self.mapping is not None:
            self.problem(key, "", "the mapping does not name it; kept as the server shows it")
        return Shown(key, prompt, images, asked)

    def read_annotation(self, shown: Shown, annotation: object) -> list[_Row[Record]]:
        if not isinstance(annotation, dict):
            self.unreadable += 1
            self.problem(shown.key, "", f"an annotation is {_kind(annotation)}, not an object")
            return []
        self.number += 1
        name = _record_id(annotation, f"{shown.key}#{self.number}")
        record, items = self.form.read(shown, annotation.get("result"))
        self.others.update(items.others)
        person = _person(annotation.get("completed_by"))
        unknown = [] if person is not None else ["completed_by names nobody: a deleted user"]
        for fault in (*items.faults, *unknown):
            self.problem(shown.key, name, fault)
        purpose = _PURPOSES.intersection([shown.asked.kind] if shown.asked else [])
        record = replace(
            record,
            annotator="unknown" if person is None else annotator_name(person, self.salt),
            seconds=_seconds(annotation.get("lead_time")),
            source=f"label_studio:{name}",
            flags=purpose.union(_flags(annotation, items, person)),
        )
        changed = annotation.get("updated_at") or annotation.get("created_at")
        return [_Row(record, changed if isinstance(changed, str) else "")]

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
    """`parse_tasks` of the pairwise form."""
    return parse_tasks(tasks, pairwise.FORM, mapping=mapping, images_root=images_root, salt=salt)


def parse_tasks(
    tasks: Iterable[object],
    form: Form[Record],
    *,
    mapping: Mapping[str, AnyTask] | None = None,
    images_root: Path | None = None,
    salt: str | None = None,
) -> tuple[list[Record], ImportReport]:
    """One record for each annotation, in the order of the tasks, and what was wrong.

    Args:
        tasks: as `read_export` gives them, of one or several exports one after another; of
            several versions of an annotation the one that changed last counts.
        form: the form that asked.
        mapping: what was asked by task key. The images are then those of the mapping, of a pair
            (a, b) with the side swap undone. Without it, and for a task that it does not name,
            they are what the server showed, of a pair (left, right).
        images_root: the folder that the server's local files are relative to.
        salt: makes annotators' ids unguessable; without it "annotator-6" is user 6.

    Raises:
        AnnotationError: if the mapping belongs to another form.
    """
    reader = _Reader(form, mapping, images_root, salt)
    rows = [row for task in tasks for row in reader.read_task(task)]
    latest = _latest_versions(rows)
    records = _flag_duplicates(latest)
    counts = Counter(flag for record in records for flag in record.flags)
    report = ImportReport(
        template=form.name,
        tasks=reader.tasks,
        annotations=reader.annotations,
        comparisons=len(records),
        clean=sum(not record.flags for record in records),
        flags={flag: counts[flag] for flag in FLAGS if counts[flag]},
        drafts=reader.drafts,
        superseded=len(rows) - len(latest),
        unreadable=reader.unreadable,
        other_controls=dict(reader.others),
        problems=tuple(reader.problems),
    )
    return records, report


def _flags(annotation: Mapping[str, object], items: Items, person: int | None) -> Iterable[str]:
    skipped = annotation.get("was_cancelled") is True
    editor = _person(annotation.get("updated_by"))
    held = {
        "skipped": skipped,
        "ground_truth": annotation.get("ground_truth") is True,
        "prefilled": items.prefilled or annotation.get("parent_prediction") is not None,
        "edited_by_other": editor is not None and editor != person,
        "partial": items.answered and bool(items.missing) and not skipped,
        "unknown_user": person is None,
        "invalid": bool(items.faults),
        "empty": not (items.answered or items.faults or skipped),
        "deleted": annotation.get(DELETED) is True,
    }
    return (flag for flag, holds in held.items() if holds)


def _latest_versions(rows: Sequence[_Row[Record]]) -> list[_Row[Record]]:
    """One row a record: exports that overlap hold the same annotation several times."""
    latest: dict[tuple[str, str], _Row[Record]] = {}
    for row in rows:
        name = row.record.key, row.record.source
        if name not in latest or row.changed >= latest[name].changed:
            latest[name] = row
    return list(latest.values())


def _flag_duplicates(rows: Sequence[_Row[Record]]) -> list[Record]:
    """Flag all but one answer of an annotator to a task; the latest clean one stays."""
    groups: defaultdict[tuple[str, str], list[_Row[Record]]] = defaultdict(list)
    for row in rows:
        if "unknown_user" not in row.record.flags:
            groups[row.record.key, row.record.annotator].append(row)
    flagged = {
        (row.record.key, row.record.source)
        for group in groups.values()
        for row in sorted(group, key=_worth)[:-1]
    }
    return [
        replace(r, flags=r.flags | {"duplicate"}) if (r.key, r.source) in flagged else r
        for r in (row.record for row in rows)
    ]


def _worth(row: _Row[Record]) -> tuple[bool, str]:
    return not row.record.flags - _PURPOSES, row.changed


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


def annotator_name(person: int, salt: str | None) -> str:
    """What records call a user of the server; with a salt nobody can tell who it is."""
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
