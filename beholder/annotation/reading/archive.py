"""Everything that was ever pulled: an append-only copy of a server that keeps no history.

Any member of a Label Studio project can change or delete anybody's answers, and the community
edition does not remember it. So each pull writes what is new as a file of its own in `raw/`, a task
a line, and nothing is ever written over. E-mail addresses do not enter it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beholder.errors import AnnotationError

Task = dict[str, Any]
GONE = "beholder_gone"
"""Marks the line of a task that the server no longer has."""

DELETED = "beholder_deleted"
"""Marks an annotation that an earlier pull saw and the latest one did not."""

_EMAIL = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+\.[^\s@<>\"]+")
_OURS = {"data", "result"}  # prompts and answers: what people wrote about pictures
_NAMES = {"email", "first_name", "last_name", "username", "created_username", "avatar", "phone"}


@dataclass(frozen=True, slots=True)
class _Version:
    """One line of a pull: where it lies and what it says in short."""

    path: Path
    offset: int
    name: tuple[str, str]
    updated: str
    digest: bytes
    annotations: frozenset[str]

    @classmethod
    def of(cls, task: Task, path: Path, offset: int) -> _Version:
        return cls(
            path,
            offset,
            _name(task),
            str(task.get("updated_at") or ""),
            _digest(task),
            frozenset(map(_identity, _annotations(task))),
        )

    def read(self) -> Task:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            task: Task = json.loads(file.readline())
            return task


@dataclass(slots=True)
class Added:
    """What a pull brought: tasks that are new, changed, the same as before, and gone."""

    new: int = 0
    changed: int = 0
    same: int = 0
    gone: int = 0


@dataclass(slots=True)
class Archive:
    """The pulls in a folder. Memory holds where each task's versions lie, not the tasks.

    Attributes:
        folder: where the pulls are; it need not exist yet.
        updated: the latest time at which the server changed a task that was pulled, as it wrote it.
    """

    folder: Path
    updated: str = ""
    _versions: defaultdict[tuple[str, str], list[_Version]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def __post_init__(self) -> None:
        """Raises AnnotationError if a pull is damaged."""
        for left_over in self.folder.glob("*.partial"):
            left_over.unlink()
        for path in self.paths():
            for offset, task in _lines(path):
                self._know(_Version.of(task, path, offset))

    def __len__(self) -> int:
        return len(self._versions)

    def paths(self) -> list[Path]:
        """The pulls in the order of their time."""
        return sorted(self.folder.glob("*.jsonl"))

    def add(self, tasks: Iterable[object], *, everything: bool) -> Added:
        """What of the tasks is new; it is written as one file, or not at all if reading fails.

        `everything` says that these are all tasks of the server, so that the others are gone.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        number = len(self.paths()) + 1  # the order stays right if the clock is set back
        path = self.folder / f"{number:06d}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl"
        partial = path.with_suffix(".partial")
        added = Added()
        versions: list[_Version] = []
        with partial.open("wb") as file:
            for task in self._news(tasks, added, everything=everything):
                versions.append(_Version.of(task, path, file.tell()))
                file.write(_line(task))
            file.flush()
            os.fsync(file.fileno())
        if not versions:
            partial.unlink()
            return added
        partial.rename(path)
        for version in versions:
            self._know(version)
        return added

    def tasks(self) -> Iterator[Task]:
        """Each task as it was last seen, in the order of first sight.

        Annotations that were seen before and are missing now are among them, marked DELETED. One
        whose user was deleted since keeps the user whom an earlier pull saw.
        """
        for versions in self._versions.values():
            task = versions[-1].read()
            if len(versions) > 1:
                _restore_people(task, versions)
                task["annotations"] = [*(task.get("annotations") or []), *_deleted(versions)]
            yield task

    def _news(self, tasks: Iterable[object], added: Added, *, everything: bool) -> Iterator[Task]:
        """What is to be written: tasks unlike what is known of them, then tasks that are gone."""
        seen: set[tuple[str, str]] = set()
        for given in tasks:
            if not isinstance(given, dict):
                raise AnnotationError(f"the export holds {type(given).__name__}, expected tasks")
            task = without_people(given)
            name = _name(task)
            seen.add(name)
            known = self._versions.get(name)
            if known and known[-1].digest == _digest(task):
                added.same += 1
                continue
            added.new += known is None
            added.changed += known is not None
            yield task
        for name, versions in self._versions.items() if everything else ():
            if name not in seen and not (last := versions[-1].read()).get(GONE):
                added.gone += 1
                yield {**last, "annotations": [], "drafts": [], GONE: True}

    def _know(self, version: _Version) -> None:
        self._versions[version.name].append(version)
        self.updated = max(self.updated, version.updated)


def _deleted(versions: Sequence[_Version]) -> list[Task]:
    """Annotations of earlier versions that the last one lacks, each as it was last seen."""
    present = set(versions[-1].annotations)
    found: list[Task] = []
    for version in reversed(versions[:-1]):
        if version.annotations <= present:
            continue
        for annotation in _annotations(version.read()):
            if (identity := _identity(annotation)) not in present:
                present.add(identity)
                found.append({**annotation, DELETED: True})
    return found


def _restore_people(task: Task, versions: Sequence[_Version]) -> None:
    """Fill in users that the server forgot; it writes null for every deleted user."""
    lost = {_identity(a): a for a in _annotations(task) if a.get("completed_by") is None}
    for version in versions[:-1] if lost else ():
        for annotation in _annotations(version.read()):
            person = annotation.get("completed_by")
            if person is not None and _identity(annotation) in lost:
                lost[_identity(annotation)]["completed_by"] = person


def without_people(value: Mapping[str, Any]) -> Task:
    """The same task with people's names and addresses removed; prompts and answers are kept.

    Ids of users stay: they tell annotators apart.
    """
    kept = {key: item for key, item in value.items() if key not in _NAMES}
    return {key: item if key in _OURS else _scrubbed(item) for key, item in kept.items()}


def _scrubbed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_people(value)
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    return _EMAIL.sub("e-mail removed", value) if isinstance(value, str) else value


def _lines(path: Path) -> Iterator[tuple[int, Task]]:
    with path.open("rb") as file:
        offset = 0
        for number, line in enumerate(file, start=1):
            try:
                task = json.loads(line)
            except ValueError as error:
                raise AnnotationError(f"{path}, line {number} is damaged: {error}") from error
            yield offset, task
            offset += len(line)


def _line(task: Task) -> bytes:
    return json.dumps(task, ensure_ascii=True, sort_keys=True).encode() + b"\n"


def _digest(task: Task) -> bytes:
    return hashlib.blake2b(_line(task), digest_size=16).digest()


def _name(task: Task) -> tuple[str, str]:
    """Our key and the server's id: the server uses ids again after a delete."""
    data = task.get("data")
    return str(data.get("task_key") if isinstance(data, dict) else None), str(task.get("id"))


def _annotations(task: Task) -> list[Task]:
    annotations = task.get("annotations")
    return [a for a in annotations if isinstance(a, dict)] if isinstance(annotations, list) else []


def _identity(annotation: Task) -> str:
    return str(annotation.get("unique_id") or annotation.get("id"))
