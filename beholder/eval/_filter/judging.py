"""Rows of a table judged part by part: what they lack, which conditions they fail, how they rank.

Between the parts a row takes 4 bytes for its verdict, 8 for its score, and 4 for its group and for
its stratum where they are asked for, beside the statistics that the rule needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from beholder.eval._expression import Expression
from beholder.eval._filter.decision import Decision, Parts
from beholder.eval._filter.frame import Frame, present
from beholder.eval._filter.rule import Asked
from beholder.eval._filter.statistics import Codes, Floats, Groups, Rows, Statistics, measured
from beholder.eval._filter.texts import NumberedRows, number_column, with_numbers
from beholder.tables import error_code

if TYPE_CHECKING:
    import pyarrow as pa


VALUES = "a value in every column asked"
"""The stage that drops rows which cannot be judged."""


class Reasons:
    """Numbers of the reasons for which rows are dropped, from 1.

    Attributes:
        texts: the reasons.
        stages: for each reason the step of the filter that drops for it.
        told_by: number -> the column that says more.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.stages: list[str] = []
        self.told_by: dict[int, str] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, text: str, stage: str, told_by: str = "") -> int:
        """The number of a reason; `told_by` names the column that says more of it."""
        if (text, told_by) not in self._numbers:
            self.texts.append(text)
            self.stages.append(stage)
            self._numbers[text, told_by] = len(self.texts)
            if told_by:
                self.told_by[len(self.texts)] = told_by
        return self._numbers[text, told_by]


@dataclass(slots=True)
class Judged:
    """What is decided so far; later stages drop further rows.

    Attributes:
        codes: (n,) 0 for a row that is kept so far, else the number of its reason.
        scores: (n,) what ranks the rows; NaN of those dropped before, and empty without a score.
        groups: (n,) number of the value of the column `by`, empty without one.
        strata: (n,) number of the value of the column `stratify`, -1 for none.
        strata_names: value of that column -> its number.
        statistics: of whole columns.
        reasons: why rows are dropped.
        numbered: the rows, with the numbers that texts of theirs are.
        details: row -> its reason in more words.
    """

    codes: Codes
    scores: Floats
    groups: Codes
    strata: Codes
    strata_names: Mapping[object, int]
    statistics: Statistics
    reasons: Reasons
    numbered: NumberedRows
    details: dict[int, str] = field(default_factory=dict)

    def left(self) -> Rows:
        """The rows that are kept so far, in order."""
        return np.flatnonzero(self.codes == 0)

    def drop(self, rows: npt.NDArray[np.int64], reason: str, stage: str) -> None:
        """Drop rows."""
        _drop(self.codes, rows, reason, self.reasons, stage)

    def decision(self, table: Parts) -> Decision:
        """The outcome."""
        reasons = self.reasons
        return Decision(table, reasons.texts, self.codes, self.details, reasons.told_by)


def judge(
    table: Parts,
    asked: Asked,
    known: Sequence[str],
    progress: Callable[[int], object] = lambda rows: None,
) -> Judged:
    """What each row lacks or fails, and the scores of the others.

    Args:
        table: the rows.
        asked: what is asked of them.
        known: the table's columns; an error of a reward tells why its numbers are missing.
        progress: called with the number of rows judged since the last call.

    Raises ConfigError if the rule mixes texts and numbers; texts that all are numbers count as such
    where numbers are asked for.
    """
    counted = with_numbers(table, asked.numeric, asked.pairs)
    owners = {f"{name.partition('.')[0]}.error" for name in asked.columns}
    reads = list(dict.fromkeys([*asked.columns, *sorted(owners & set(known))]))
    statistics, reasons = measured(counted, asked.statistics), Reasons()
    codes: list[Codes] = [np.empty(0, np.int32)]
    scores: list[Floats] = [np.empty(0)]
    groups, strata = Groups(), Groups(named=True)
    start = 0
    for part in counted.parts(reads or [known[0]]):
        found = _missing(part, asked.columns, reasons)
        for condition in asked.conditions:
            rows = Frame.of(part, np.flatnonzero(found == 0), start=start, statistics=statistics)
            _condition(condition, rows, found, reasons)
        if asked.score is not None:
            rows = Frame.of(part, np.flatnonzero(found == 0), start=start, statistics=statistics)
            scores.append(_scores(asked.score, rows, found, reasons))
        for name, numbered in ((asked.by, groups), (asked.stratify, strata)):
            if name:
                numbered.add(part[name])
        codes.append(found)
        start += len(part)
        progress(len(part))
    return Judged(
        codes=np.concatenate(codes),
        scores=np.concatenate(scores),
        groups=groups.codes(),
        strata=strata.codes(),
        strata_names=strata.values,
        statistics=statistics,
        reasons=reasons,
        numbered=counted,
    )


def _missing(part: pa.Table, columns: Sequence[str], reasons: Reasons) -> Codes:
    """(n,) 0 for rows with a value in every column, else the number of the first that is absent."""
    codes = np.zeros(len(part), np.int32)
    for name in columns:
        rows = np.flatnonzero(~present(number_column(part, name)) & (codes == 0))
        if len(rows):
            codes[rows] = _absence(part, name, rows, reasons)
    return codes


def _absence(part: pa.Table, name: str, rows: Rows, reasons: Reasons) -> Codes:
    error = f"{name.partition('.')[0]}.error"
    if error not in part.column_names:
        return np.full(len(rows), reasons.number(f"no value in {name}", VALUES), np.int32)
    encoded = part[error].take(rows).combine_chunks().dictionary_encode()
    numbers = [
        reasons.number(f"error: {error_code(text)}", VALUES, error) if text else None
        for text in encoded.dictionary.to_pylist()
    ]
    places = encoded.indices.fill_null(len(numbers)).to_numpy()
    if len(numbers) in places or None in numbers:
        unsaid = reasons.number(f"no value in {name}", VALUES)
        numbers = [unsaid if number is None else number for number in [*numbers, None]]
    codes: Codes = np.array(numbers, np.int32)[places]
    return codes


def _condition(condition: Expression, rows: Frame, codes: Codes, reasons: Reasons) -> None:
    text, holds = condition.text, condition.holds(rows)
    _drop(codes, rows.rows[rows.divides], f"division by zero in {text}", reasons, text)
    _drop(codes, rows.rows[~holds & ~rows.divides], f"not {text}", reasons, text)


def _scores(score: Expression, rows: Frame, codes: Codes, reasons: Reasons) -> Floats:
    """(n,) scores of the rows that are left, NaN of the others."""
    found = np.full(len(codes), np.nan)
    numbers = score.numbers(rows)
    is_one = np.isfinite(numbers) & ~rows.divides
    found[rows.rows[is_one]] = numbers[is_one]
    divided = f"division by zero in {score.text}"
    _drop(codes, rows.rows[rows.divides], divided, reasons, VALUES)
    _drop(codes, rows.rows[~is_one & ~rows.divides], f"no value in {score.text}", reasons, VALUES)
    return found


def _drop(
    codes: Codes, rows: npt.NDArray[np.int64], reason: str, reasons: Reasons, stage: str
) -> None:
    if len(rows):
        codes[rows] = reasons.number(reason, stage)
