"""What is kept of an evaluation: the number and everything that moves it, in `evaluation.json`.

The file is a list of records, one for each protocol, data set, weights and options; a newer one
takes the place of the same, and keeps what that knew of rewards it was not compared with.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from beholder.errors import DataError
from beholder.eval.evaluation_differences import Difference
from beholder.eval.preference import Evaluation
from beholder.types import Preference

EVALUATIONS = "evaluation.json"
"""The file's name in a reward's folder."""
_HEX = 16
_SHOWN = 20  # pictures without a score that the file names; it counts all


@dataclass(frozen=True, slots=True, kw_only=True)
class PairData:
    """Pairs that a reward is measured on, and where they come from.

    Attributes:
        name: of the data set, such as "hpdv2", or of the folder.
        split: as published; "" if it has none.
        options: of its reader.
        preferences: what people said.
        rows_left_out: why published rows gave no pair -> how many.
        limit: only so many records were taken of the split; None for all.
        is_published: whether they are a published data set, by what was read and not by a name.
    """

    name: str
    split: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    preferences: Sequence[Preference]
    rows_left_out: Mapping[str, int] = field(default_factory=dict)
    limit: int | None = None
    is_published: bool = False

    @property
    def title(self) -> str:
        """Name and split, as a person says them."""
        return f"{self.name} {self.split}".strip()

    @property
    def origin(self) -> str:
        """What names these pairs where a threshold was chosen on them: title and hash."""
        return f"chosen on {self.title}, pairs {pairs_hash(self.preferences)}"

    def as_dict(self) -> dict[str, object]:
        """What names the data in a record."""
        return {
            "name": self.name,
            "split": self.split,
            "options": {key: str(value) for key, value in self.options.items()},
            "pairs": len(self.preferences),
            "pairs_sha256": pairs_hash(self.preferences),
            "rows_left_out": dict(self.rows_left_out),
            "limit": self.limit,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published accuracy of some reward on the same data set.

    Attributes:
        reward: whose.
        data, percent, protocol, source: as the reward's card has them.
    """

    reward: str
    data: str
    percent: float
    protocol: str
    source: str


def evaluation_record(
    result: Evaluation,
    *,
    data: PairData,
    reward: Mapping[str, object],
    versions: Mapping[str, str | None],
    differences: Sequence[Difference] = (),
    against: Mapping[str, Mapping[str, object]] | None = None,
    published: Sequence[Published] = (),
) -> dict[str, Any]:
    """One evaluation with everything that moves its numbers; may hold NaN.

    Args:
        result: the numbers.
        data: the pairs.
        reward: its name, hash of the weights, dtype, resize and options.
        versions: of the packages that compute.
        differences: to other rewards on the same pairs.
        against: name of each of these -> the same of it as `reward`.
        published: figures of the same data set.
    """
    return {
        **result.as_dict(),
        "pictures_without_score": len(result.unreadable),
        "data": data.as_dict(),
        "reward": dict(reward),
        "differences": [
            {**each.as_dict(), "against": dict((against or {}).get(each.second, {}))}
            for each in differences
        ],
        "published": [
            {name: getattr(each, name) for name in Published.__slots__} for each in published
        ],
        "versions": dict(versions),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def pairs_hash(preferences: Sequence[Preference]) -> str:
    """16 hexadecimal digits of the sha256 of all pairs: questions, prompts, pictures, answers.

    Neither the order of the pairs nor where their pictures lie matters: pictures are named from
    the folder that holds them all. What is inside the pictures is not read.
    """
    names = _names(side for p in preferences for side in (p.first, p.second))
    lines = sorted(
        json.dumps([p.key, p.prompt, names[p.first], names[p.second], sorted(p.p_first.items())])
        for p in preferences
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_HEX]


def keep_evaluation(folder: Path, record: Mapping[str, Any]) -> Path:
    """Put a record into the folder's `evaluation.json`, in the place of the same; gives the file.

    The same is one of the same protocol, pairs, weights and options. Its differences stay, but for
    those to rewards that the new one was compared with. The record must be JSON: without NaN.
    Raises DataError if the file there is something else.
    """
    unreadable = dict(list(record.get("unreadable", {}).items())[:_SHOWN])
    known = read_evaluations(folder)
    kept = [old for old in known if _identity(old) != _identity(record)]
    same = [old for old in known if _identity(old) == _identity(record)]
    differences = _differences(record, same)
    text = json.dumps(
        [*kept, {**record, "unreadable": unreadable, "differences": differences}],
        indent=1,
        ensure_ascii=False,
        allow_nan=False,
    )
    path, partial = folder / EVALUATIONS, folder / f".{EVALUATIONS}.partial"
    partial.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    partial.replace(path)
    return path


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """The records in a folder's `evaluation.json`, oldest first; none if there is no such file.

    Raises DataError if the file is not a list of records.
    """
    path = folder / EVALUATIONS
    if not path.is_file():
        return []
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; move it away") from error
    if not isinstance(loaded, list) or not all(map(_is_record, loaded)):
        raise DataError(f"{path} is no list of evaluations; move it away")
    return loaded


def _is_record(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("protocol"), str)
        and isinstance(value.get("data"), dict)
        and isinstance(value.get("aspects"), dict)
    )


def _identity(record: Mapping[str, Any]) -> tuple[object, ...]:
    data = record["data"]
    named = (data.get("name"), data.get("split"), data.get("pairs_sha256"))
    return record["protocol"], *named, _sorted(data.get("options")), _of(record.get("reward"))


def _of(described: Any) -> tuple[object, ...]:
    """What tells one reward from another: weights and options, whatever it was called."""
    told = described if isinstance(described, Mapping) else {}
    return told.get("reward"), told.get("weights"), _sorted(told.get("options"))


def _sorted(options: Any) -> str:
    return json.dumps(options or {}, sort_keys=True)  # tuples and lists are the same


def _differences(
    record: Mapping[str, Any], same: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those of the record, after those of the `same` that it does not have anew."""
    new = list(record.get("differences", ()))
    made = {_compared(each) for each in new}
    old = [each for one in same for each in one.get("differences", ())]
    return [*(each for each in old if _compared(each) not in made), *new]


def _compared(difference: Mapping[str, Any]) -> tuple[object, ...]:
    against = difference.get("against")
    named = _of(against) if against else (difference.get("second"),)
    return difference.get("aspect"), *named


def _names(pictures: Any) -> dict[str, str]:
    """Each picture's name from the deepest folder that holds all; as it is, if none does."""
    known = dict.fromkeys(pictures)
    try:
        root = os.path.commonpath([str(PurePath(picture).parent) for picture in known])
    except ValueError:  # none, or some that are paths from the root and some that are not
        return {picture: picture for picture in known}
    return {picture: os.path.relpath(picture, root or os.curdir) for picture in known}
