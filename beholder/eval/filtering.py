"""Which pictures to keep: a rule on the columns of a score table, the best of them, and reasons.

A row is kept if it has a value in every column that is asked about, fulfils the rule, and is among
the top of its group. Every other row is dropped with the first of these that it fails.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from beholder.calibration import Calibration
from beholder.errors import ConfigError, DataError
from beholder.eval._expression import Expression, parse
from beholder.eval.win_columns import WIN, win_columns, with_wins
from beholder.tables import IMAGE, KEY, ScoreTable, error_code, unknown

if TYPE_CHECKING:
    import pyarrow as pa

PICTURES = ("none", "link", "copy")
"""What becomes of the pictures that are kept."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is kept.

    Attributes:
        where: conditions such as "mps.overall > 0.3"; "" for none. See `eval._expression`.
        top: below 1 a share of the rows that pass `where`, rounded up; from 1 on a number of rows;
            None for all.
        score: the column whose highest values are the top; earlier rows win ties.
        by: the column whose values form groups, each with its own top; "" for one group.

    Raises ConfigError if `where` is not of the language, or `top` and `score` do not fit.
    """

    where: str = ""
    top: float | None = None
    score: str = ""
    by: str = ""

    def __post_init__(self) -> None:
        self.conditions()
        if self.top is None and self.by:
            raise ConfigError(f"grouping by {self.by!r} needs a top, such as 0.2 or 5")
        if self.top is None:
            return
        if not (0 < self.top < 1 or (self.top >= 1 and float(self.top).is_integer())):
            raise ConfigError(
                f"top must be a share in (0, 1) or a whole number of rows, got {self.top}"
            )
        if not self.score:
            raise ConfigError("top needs the column of scores that it ranks, such as mps.total")

    def conditions(self) -> list[Expression]:
        """What `where` asks, part by part."""
        return parse(self.where) if self.where else []

    def columns(self) -> list[str]:
        """The columns that must have a value."""
        asked = [name for condition in self.conditions() for name in condition.columns]
        top = [name for name in (self.score, self.by) if name and self.top is not None]
        return list(dict.fromkeys([*asked, *top]))


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSummary:
    """What a filter did.

    Attributes:
        rows, kept, dropped: numbers of rows; the latter two add up to the first.
        reasons: reason, or code of an error -> rows that it dropped.
        pictures_missing: kept rows whose picture could not be linked or copied.
        rule: what was asked.
    """

    rows: int
    kept: int
    dropped: int
    reasons: Mapping[str, int]
    pictures_missing: int
    rule: Rule

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def select(rows: Iterable[Row], rule: Rule) -> list[str | None]:
    """For each row None if it is kept, otherwise why not; same rows, same answer.

    Raises ConfigError if the rule mixes texts and numbers.
    """
    rows = list(rows)
    conditions, columns = rule.conditions(), rule.columns()
    reasons = [_refusal(row, conditions, columns) for row in rows]
    if rule.top is None:
        return reasons
    groups: dict[object, list[int]] = {}
    for k, row in enumerate(rows):
        if reasons[k] is None:
            groups.setdefault(row[rule.by] if rule.by else None, []).append(k)
    for members in groups.values():
        members.sort(key=lambda k: -_number(rows[k], rule.score))
        for k in members[_quota(rule.top, len(members)) :]:
            reasons[k] = f"not in the top {rule.top:g} by {rule.score}"
    return reasons


def default_score(table: ScoreTable) -> str:
    """The total of the table's only reward; ConfigError if there are several."""
    totals = [name for name in table.columns if name.endswith(".total")]
    if len(totals) != 1:
        raise ConfigError(f"name the column that counts, one of: {', '.join(totals) or 'none'}")
    return totals[0]


def filter_table(
    table: ScoreTable,
    rule: Rule,
    out: str | os.PathLike[str],
    *,
    pictures: str = "none",
    calibrations: Mapping[str, Calibration] | None = None,
) -> FilterSummary:
    """Keep rows of a table by a rule and write what was kept, what was dropped, and why.

    `out` gets `kept` and `dropped` as parquet and as JSON lines, each row with its columns and
    dropped ones with their `reason`, and `summary.json`. With `pictures` the kept ones are hard
    links or copies under `out/pictures`, named by their keys, and the column `picture` tells where.
    The folder appears when all is written. `calibrations` of rewards add their win probabilities to
    the columns, for the rule and for what is written; see `eval.win_columns`.

    Raises:
        ConfigError: if the rule names an unknown column or mixes texts and numbers.
        DataError: if `out` holds something already, or pictures cannot be linked to it.
    """
    if pictures not in PICTURES:
        raise ConfigError(f"pictures must be one of {', '.join(PICTURES)}, got {pictures!r}")
    known = calibrations or {}
    _check_columns(rule, table, known)
    out = Path(out)
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise DataError(f"{out} is not empty; give a new folder")
    data = with_wins(table.read(), known)
    reasons = select(data.to_pylist(), rule)
    with _appearing(out) as folder:
        kept = data.filter([why is None for why in reasons])
        dropped = data.filter([why is not None for why in reasons])
        places = _place(kept, folder, pictures) if pictures != "none" else None
        summary = FilterSummary(
            rows=len(reasons),
            kept=len(kept),
            dropped=len(dropped),
            reasons=dict(Counter(map(_kind, filter(None, reasons))).most_common()),
            pictures_missing=(places or []).count(None),
            rule=rule,
        )
        _write(folder / "kept", kept if places is None else _with(kept, "picture", places))
        _write(folder / "dropped", _with(dropped, "reason", [why for why in reasons if why]))
        text = json.dumps(summary.as_dict(), indent=2, ensure_ascii=False)
        (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    return summary


def _check_columns(rule: Rule, table: ScoreTable, calibrations: Mapping[str, Calibration]) -> None:
    columns = [*table.columns, *win_columns(calibrations)]
    for name in rule.columns():
        reward = name.partition(".")[0]
        if name not in columns and name.endswith(f".{WIN}") and reward in table.rewards:
            raise ConfigError(_no_win(name, reward, calibrations))
        if name not in columns:
            raise ConfigError(unknown("column", name, columns))


def _no_win(name: str, reward: str, calibrations: Mapping[str, Calibration]) -> str:
    if reward not in calibrations:
        return (
            f"there is no {name} without a calibration of {reward}; make one with `beholder "
            f"calibrate` and give --calibration {reward}=FILE"
        )
    score = name.removeprefix(f"{reward}.").removesuffix(f".{WIN}")
    why = calibrations[reward].left_out.get(score, "the reward has no such score")
    return f"there is no {name}, the calibration of {reward} leaves {score} out: {why}"


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder to write into that becomes `out` when all went well."""
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        aside.replace(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _refusal(row: Row, conditions: Sequence[Expression], columns: Sequence[str]) -> str | None:
    for name in columns:
        value = row[name]
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            error = row.get(f"{name.partition('.')[0]}.error")
            return f"error: {error}" if error else f"no value in {name}"
    for condition in conditions:
        try:
            if not condition.holds(row):
                return f"not {condition.text}"
        except ZeroDivisionError:
            return f"division by zero in {condition.text}"
    return None


def _quota(top: float, members: int) -> int:
    # 0.2 * 15 is 3.0000000000000004, which must not keep a fourth
    return int(top) if top >= 1 else math.ceil(top * members - 1e-9)


def _number(row: Row, name: str) -> float:
    value = row[name]
    if isinstance(value, str):
        raise ConfigError(f"the top is by {name}, which holds text such as {value[:40]!r}")
    return float(value)


def _kind(reason: str) -> str:
    return error_code(reason.removeprefix("error: ")) if reason.startswith("error: ") else reason


def _place(kept: pa.Table, folder: Path, pictures: str) -> list[str | None]:
    """Link or copy pictures; where each is in the folder, None if its file is gone or embedded."""
    taken: set[str] = set()
    places: list[str | None] = []
    for key, image in zip(kept[KEY].to_pylist(), kept[IMAGE].to_pylist(), strict=True):
        source = Path(image or "")
        place = f"pictures/{_safe_name(key, source.suffix, taken)}" if source.is_file() else None
        if place is not None:
            _bring(source, folder / place, pictures)
        places.append(place)
    return places


def _safe_name(key: str, suffix: str, taken: set[str]) -> str:
    """A relative path from a key: no "..", no odd characters, never twice."""
    parts = [re.sub(r"[^\w.\- ]", "_", part) for part in PurePosixPath(key).parts]
    parts = [part.strip(". ")[:150] for part in parts]
    stem = "/".join(part for part in parts if part and part != "_") or "picture"
    stem = stem.removesuffix(suffix)
    name, number = f"{stem}{suffix}", 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}{suffix}"
    taken.add(name.lower())
    return name


def _bring(source: Path, target: Path, pictures: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if pictures == "copy":
        shutil.copyfile(source, target)
        return
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        raise DataError(f"cannot link {source}: {error.strerror}; copy instead") from error


def _with(table: pa.Table, name: str, values: Sequence[str | None]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415

    rest = table.drop_columns([name]) if name in table.column_names else table
    return rest.append_column(name, pa.array(values, pa.string()))


def _write(path: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    pq.write_table(table, path.with_suffix(".parquet"))
    with path.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())
