"""What the card of a filter shows, gathered from its decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from beholder.eval._filter.boundary import Nearest
from beholder.eval._filter.decision import Decision, Parts, kind
from beholder.eval._filter.distinct import AGAINST, NEAR, Likeness, most_alike
from beholder.eval._filter.judging import VALUES, Judged
from beholder.eval._filter.rule import Asked, Rule
from beholder.eval._filter.statistics import Floats, Statistic
from beholder.eval._filter.texts import number_column
from beholder.eval._filter_card.tally import Tally
from beholder.eval.filter_card import (
    SHOWN,
    Column,
    Failures,
    FilterCard,
    PicturePair,
    Shown,
    Stage,
    Strata,
    Threshold,
)
from beholder.images import ImageSource
from beholder.located import each_picture
from beholder.tables import IMAGE, KEY, PROMPT

if TYPE_CHECKING:
    import pyarrow as pa

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Told:
    """What a card is of: the rule, and what was decided by it."""

    source: str
    rule: Rule
    asked: Asked
    judged: Judged
    decision: Decision
    likeness: Likeness
    protocol: Mapping[str, str]
    commands: Sequence[str] = ()


def card_of(told: Told) -> FilterCard:
    """The card of a filter; reads the columns asked, and of a few rows their pictures."""
    tallies, boundary = _seen(told)
    rows = _Rows(told, boundary)
    counted = told.decision
    return FilterCard(
        source=told.source,
        rule=_lines(told),
        rows=len(counted),
        kept=int(counted.kept.sum()),
        stages=_stages(told),
        columns=[Column(tally=t, thresholds=_thresholds(told, t.column)) for t in tallies],
        score=boundary.name,
        barely_kept=rows.shown(boundary.kept),
        barely_dropped=rows.shown(boundary.dropped),
        strata=_strata(told),
        near_duplicates=rows.near(told.likeness),
        contaminated=rows.contaminated(told.likeness),
        errors=rows.failures(),
        protocol=told.protocol,
        commands=told.commands,
        methods=_methods(told),
    )


@dataclass(slots=True)
class _Boundary:
    """Where pictures are shown: by what, and the rows at either side."""

    name: str
    kept: Nearest
    dropped: Nearest


def _seen(told: Told) -> tuple[list[Tally], _Boundary]:
    """The values of each numeric column that is asked, and the rows at the boundary."""
    tallies = {name: Tally(name) for name in told.asked.columns}
    cut = _cut(told)
    boundary = _Boundary(cut.name, Nearest(SHOWN), Nearest(SHOWN))
    start = 0
    for part in told.judged.numbered.parts(list(tallies)) if tallies else ():
        codes = told.decision.codes[start : start + len(part)]
        for name in list(tallies):
            values = _numbers(number_column(part, name))
            if values is None:
                del tallies[name]
                continue
            tallies[name].add(values, codes == 0)
            if name == cut.column:
                _offer(boundary, cut, start, codes, values)
        if cut.is_score:
            _offer(boundary, cut, start, codes, told.judged.scores[start : start + len(part)])
        start += len(part)
    return list(tallies.values()), boundary


@dataclass(frozen=True, slots=True)
class _Cut:
    """By which numbers, at which value and for which reasons rows were dropped."""

    name: str = ""
    column: str = ""
    level: float = np.nan
    reasons: Sequence[int] = ()
    is_score: bool = False


def _cut(told: Told) -> _Cut:
    """The last cut of a rule: its top or budget, else the first threshold that dropped a row.

    A score without a top or budget cuts nothing: it says which of near-duplicates is best.
    """
    numbers = dict(enumerate(told.judged.reasons.stages, 1))
    if ranks := {told.rule.top_stage, told.rule.budget_stage} - {""}:
        by_rank = [k for k, stage in numbers.items() if stage in ranks]
        return _Cut(told.rule.score, reasons=by_rank, is_score=True)
    cuts = []
    for condition in told.asked.conditions:
        reasons = [k for k, stage in numbers.items() if stage == condition.text]
        for column, level in condition.cuts:
            if (value := _value(told, level)) is not None:
                cuts.append(_Cut(column, column, value, reasons))
    return next((cut for cut in cuts if cut.reasons), cuts[0] if cuts else _Cut())


def _offer(boundary: _Boundary, cut: _Cut, start: int, codes: npt.NDArray[Any], x: Floats) -> None:
    for nearest, chosen, sign in (
        (boundary.kept, codes == 0, 1),
        (boundary.dropped, np.isin(codes, cut.reasons), -1),
    ):
        places = np.flatnonzero(chosen & np.isfinite(x))
        values = x[places]
        distances = sign * values if cut.is_score else np.abs(values - cut.level)
        nearest.offer(places + start, values, distances)


class _Rows:
    """Keys, pictures and prompts of the few rows that are shown."""

    def __init__(self, told: Told, boundary: _Boundary) -> None:
        self._told = told
        self._near = most_alike(told.likeness.near)
        self._like = most_alike(told.likeness.evaluation)
        self._failed = _failed(told.decision)
        wanted = [*boundary.kept.rows.tolist(), *boundary.dropped.rows.tolist()]
        wanted += [row for found in (self._near, self._like) for row in found]
        wanted += [told.likeness.near[row].of for row in self._near]
        wanted += [row for rows in self._failed.values() for row in rows]
        columns = list(dict.fromkeys([KEY, IMAGE, PROMPT, *told.decision.told_by.values()]))
        self._cells = _cells_of(told.decision.table, wanted, columns)
        shown = sorted(set(wanted) - {row for rows in self._failed.values() for row in rows})
        pictures = each_picture(str(self._cells[row][IMAGE] or "") for row in shown)
        self._pictures = dict(zip(shown, pictures, strict=True))

    def shown(self, nearest: Nearest) -> list[Shown]:
        return [
            Shown(
                key=str(self._cells[row][KEY]),
                image=self._pictures[row],
                score=value,
                prompt=str(self._cells[row][PROMPT] or ""),
            )
            for row, value in zip(nearest.rows.tolist(), nearest.values.tolist(), strict=True)
        ]

    def near(self, likeness: Likeness) -> list[PicturePair]:
        return [
            self._pair(row, str(self._cells[of][KEY]), self._pictures[of], similarity)
            for row in self._near
            for of, similarity in [(likeness.near[row].of, likeness.near[row].similarity)]
        ]

    def contaminated(self, likeness: Likeness) -> list[PicturePair]:
        return [
            self._pair(row, *likeness.pictures[near.of], near.similarity)
            for row in self._like
            for near in [likeness.evaluation[row]]
        ]

    def failures(self) -> dict[str, Failures]:
        counts = self._told.decision.counts()
        return {
            code: Failures(rows=counts[code], examples=[self._why(row) for row in rows])
            for code, rows in self._failed.items()
        }

    def _why(self, row: int) -> str:
        column = self._told.decision.told_by[int(self._told.decision.codes[row])]
        return f"{self._cells[row][KEY]}: {self._cells[row][column]}"

    def _pair(self, row: int, of_key: str, of_image: ImageSource, similarity: float) -> PicturePair:
        return PicturePair(
            key=str(self._cells[row][KEY]),
            image=self._pictures[row],
            of_key=of_key,
            of_image=of_image,
            similarity=similarity,
        )


def _failed(decision: Decision) -> dict[str, list[int]]:
    """Code of an error -> the first rows with it."""
    found: dict[str, list[int]] = {}
    for code in decision.told_by:
        rows = np.flatnonzero(decision.codes == code)[:_EXAMPLES].tolist()
        name = kind(decision.reasons[code - 1])
        found[name] = sorted([*found.get(name, []), *rows])[:_EXAMPLES]
    return found


def _cells_of(
    table: Parts, rows: Iterable[int], columns: Sequence[str]
) -> dict[int, dict[str, Any]]:
    wanted = np.array(sorted(set(rows)), np.int64)
    found: dict[int, dict[str, Any]] = {}
    start = 0
    for part in table.parts(columns) if len(wanted) else ():
        here = wanted[(wanted >= start) & (wanted < start + len(part))]
        found |= dict(zip(here.tolist(), part.take(here - start).to_pylist(), strict=True))
        start += len(part)
    return found


def _numbers(column: pa.ChunkedArray) -> Floats | None:
    """Numbers, NaN where there is none; None if the column is of something else."""
    import pyarrow as pa  # noqa: PLC0415

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return None
    values: Floats = column.cast(pa.float64(), safe=False).to_numpy()
    return values


def _lines(told: Told) -> list[str]:
    rule, found = told.rule, told.likeness.protocol
    conditions = [condition.text for condition in rule.conditions()]
    against = [found[name] for name in ("against", "against_prompts") if name in found]
    likeness = [f"{AGAINST}: none of {each}" for each in against]
    if "dedup" in found:
        likeness.append(f"{NEAR}: the best of each from a cosine of {found['dedup']:g}")
    return [*conditions, *likeness, *filter(None, (rule.top_stage, rule.budget_stage))]


def _asked_stages(told: Told) -> list[str]:
    """The steps that were asked for, in order."""
    found, rule = told.likeness.protocol, told.rule
    against = [AGAINST] if "against" in found or "against_prompts" in found else []
    near = [NEAR] if "dedup" in found else []
    conditions = [condition.text for condition in told.asked.conditions]
    return [*conditions, *against, *near, *filter(None, (rule.top_stage, rule.budget_stage))]


def _stages(told: Told) -> list[Stage]:
    """Every step that was asked for or dropped a row, with what it dropped."""
    rows = np.bincount(told.decision.codes, minlength=len(told.decision.reasons) + 1)[1:].tolist()
    dropped: dict[str, dict[str, int]] = {}
    reasons = told.judged.reasons
    for text, stage, count in zip(reasons.texts, reasons.stages, rows, strict=True):
        counts = dropped.setdefault(stage, {})
        counts[kind(text)] = counts.get(kind(text), 0) + count
    asked = dict.fromkeys(_asked_stages(told))
    first = [VALUES] if VALUES in dropped else []
    names = [*first, *asked, *(n for n in dropped if n not in asked and n != VALUES)]
    return [Stage(name=name, dropped=dropped.get(name, {})) for name in names]


def _thresholds(told: Told, column: str) -> list[Threshold]:
    found = []
    for condition in told.asked.conditions:
        for name, level in condition.cuts:
            value = _value(told, level)
            if name == column and value is not None:
                called = f"quantile {level.level:g}" if isinstance(level, Statistic) else ""
                found.append(Threshold(value=value, name=called))
    return [*found, *_last_kept(told)] if column == told.rule.score else found


def _last_kept(told: Told) -> list[Threshold]:
    """The lowest score that was kept, where one ranking decides on all rows."""
    kept = told.judged.scores[told.decision.kept]
    is_one = bool(told.rule.top_stage or told.rule.budget_stage)
    if not is_one or told.rule.by or told.rule.stratify or not len(kept):
        return []
    return [Threshold(value=float(kept.min()), name="last kept")]


def _value(told: Told, level: float | Statistic) -> float | None:
    if isinstance(level, Statistic):
        return told.judged.statistics.levels().get(level)
    return level


def _strata(told: Told) -> Strata | None:
    if not told.rule.stratify:
        return None
    judged = told.judged
    has = judged.strata >= 0
    size = len(judged.strata_names)
    whole = np.bincount(judged.strata[has], minlength=size).tolist()
    kept = np.bincount(judged.strata[has & told.decision.kept], minlength=size).tolist()
    names = map(str, judged.strata_names)
    counts = {n: (k, w) for n, k, w in zip(names, kept, whole, strict=True)}
    return Strata(column=told.rule.stratify, counts=counts)


def _methods(told: Told) -> list[str]:
    return (
        [
            "Near-duplicates by the cosine of embeddings, in cells of k-means where there are many "
            "rows: A. Abbas et al., SemDeDup, 2023."
        ]
        if told.likeness.near
        else []
    )
