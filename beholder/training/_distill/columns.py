"""Pictures that judges scored, by prompt, and which column of a table judges which aspect."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Array
from beholder.rewards._prompts import prompt_fault
from beholder.tables import IMAGE, KEY, PROMPT, ScoreTable, error_code, unknown

OVERALL = "overall"


@dataclass(frozen=True, slots=True)
class Group:
    """The pictures of one prompt that every judge scored.

    Attributes:
        prompt: theirs.
        keys, pictures: of each.
        scores: a row each, a column for each judging column.
    """

    prompt: str
    keys: Sequence[str]
    pictures: Sequence[str]
    scores: Float64[Array, "n c"]


@dataclass(frozen=True, slots=True)
class Read:
    """What a table holds for judges.

    Attributes:
        groups: by prompt, in order of first appearance; each of two pictures or more.
        rows: of the table.
        skipped: why rows are in no group -> how many.
    """

    groups: Sequence[Group]
    rows: int
    skipped: Mapping[str, int]


def judging_columns(
    table: ScoreTable, judges: Sequence[str], given: Mapping[str, str]
) -> dict[str, list[str]]:
    """Aspect -> the columns that judge it, the same judge never twice.

    Args:
        table: of the scores.
        judges: names of rewards in it.
        given: column -> aspect; without any, every score of a judge but its total judges the
            aspect of its name, and the total judges "overall" where the judge has no such score.

    Raises:
        ConfigError: if a judge or column is not in the table, a column is no judge's, a judge says
            nothing, or one judge would have two voices on one aspect.
    """
    _check_judges(table, judges)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for column, aspect in (given or _by_name(table, judges)).items():
        judge = _judge(column)
        if column not in table.columns or column.endswith(".error"):
            raise ConfigError(unknown("column", column, table.columns))
        if judge not in judges:
            raise ConfigError(f"column {column!r} is of no judge; the judges are {_listed(judges)}")
        if judge in map(_judge, found[aspect]):
            raise ConfigError(f"judge {judge!r} has two columns for aspect {aspect!r}; give one")
        found[aspect].append(column)
    if silent := set(judges) - {_judge(c) for columns in found.values() for c in columns}:
        raise ConfigError(f"judge {min(silent)!r} judges no aspect; name one of its columns")
    return dict(found)


def read_groups(table: ScoreTable, judges: Sequence[str], columns: Sequence[str]) -> Read:
    """The pictures of each prompt with their scores; rows without one are counted by reason.

    Raises DataError if no prompt has two pictures that every judge scored.
    """
    rows = 0
    skipped: Counter[str] = Counter()
    kept: defaultdict[str, dict[str, tuple[str, list[float]]]] = defaultdict(dict)
    errors = [f"{judge}.error" for judge in judges]
    for row in table.rows([KEY, IMAGE, PROMPT, *columns, *errors]):
        rows += 1
        picture, prompt = _place(str(row[IMAGE])), str(row[PROMPT] or "")
        if why := _fault(row, columns, judges) or _seen(kept[prompt], picture):
            skipped[why] += 1
        else:
            kept[prompt][picture] = str(row[KEY]), [float(row[c]) for c in columns]
    lonely = sum(len(group) == 1 for group in kept.values())
    if lonely:
        skipped["the only picture of its prompt"] += lonely
    groups = [_group(prompt, found) for prompt, found in kept.items() if len(found) > 1]
    told = dict(skipped.most_common())
    if not groups:
        raise DataError(f"no prompt has two pictures that every judge scored; {rows} rows: {told}")
    return Read(groups, rows, told)


def _group(prompt: str, found: Mapping[str, tuple[str, list[float]]]) -> Group:
    keys = [key for key, _ in found.values()]
    return Group(prompt, keys, list(found), np.array([scores for _, scores in found.values()]))


def _check_judges(table: ScoreTable, judges: Sequence[str]) -> None:
    if not judges:
        raise ConfigError(f"no judge is named; the table holds {_listed(table.rewards)}")
    if not table.rewards:
        raise DataError(f"{table.folder} holds no scores; `beholder score` writes some")
    for judge in judges:
        if judge not in table.rewards:
            raise ConfigError(unknown("judge", judge, table.rewards))


def _judge(column: str) -> str:
    return column.partition(".")[0]


def _by_name(table: ScoreTable, judges: Sequence[str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for judge in judges:
        own = [c for c in table.columns if c.startswith(f"{judge}.")]
        named = {c: c.removeprefix(f"{judge}.") for c in own}
        aspects = {c: name for c, name in named.items() if name not in {"total", "error"}}
        if OVERALL not in aspects.values():
            aspects[f"{judge}.total"] = OVERALL
        chosen |= aspects
    return chosen


def _fault(row: Mapping[str, Any], columns: Sequence[str], judges: Sequence[str]) -> str:
    for judge in judges:
        if why := row[f"{judge}.error"]:
            return f"{judge}: {error_code(str(why))}"
    if why := prompt_fault(str(row[PROMPT] or "")):
        return f"prompt: {why}"
    if not str(row[PROMPT] or ""):
        return "no prompt"
    for column in columns:
        value = row[column]
        if value is None or not math.isfinite(value):
            return f"{column}: no score"
    return ""


def _seen(group: Mapping[str, object], picture: str) -> str:
    return "the same picture again" if picture in group else ""


def _place(picture: str) -> str:
    return str(Path(picture).absolute()) if Path(picture).exists() else picture


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
