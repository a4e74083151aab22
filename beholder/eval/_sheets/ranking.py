"""Rankings of checkpoints as sheets."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beholder._notebook.plain import counted, interval
from beholder._notebook.sheet import Cell, Sheet

if TYPE_CHECKING:
    from beholder.eval._bootstrap import Interval
    from beholder.eval._ranking.agreement import Agreement
    from beholder.eval.leaderboard import Leaderboard
    from beholder.eval.ranking import Ranking, Standing

_NAMED = 6
"""Pairs that are named in a remark."""


def ranking_sheet(ranking: Ranking, groups: Sequence[Sequence[str]] = ()) -> Sheet:
    """Checkpoints from strongest to weakest with intervals, then who is not told apart.

    Two that share a letter of `groups` are not told apart.
    """
    letters = lettered(groups)
    rows: list[list[Cell]] = [
        [s.name, *([letters[s.name]] if letters else []), *_figures(s)] for s in ranking.standings
    ]
    figures = ["strength", "win rate", f"mean {ranking.score}", "pictures", "missing"]
    return Sheet(
        title=f"Ranking by {ranking.score}, {counted(ranking.compared.prompts, 'prompt')} compared",
        header=[ranking.by, *(["group"] if letters else []), *figures],
        rows=rows,
        notes=[
            *_alike(ranking),
            f"{ranking.level:.0%} intervals, paired bootstrap; tests at "
            f"{ranking.alpha:g}, Holm-corrected",
        ],
    )


def leaderboard_sheet(board: Leaderboard) -> Sheet:
    """The first score's ranking, then means of all scores, categories, trade-offs, people."""
    first = board.rankings[board.scores[0]]
    parts = [
        *([_means(board)] if len(board.scores) > 1 else []),
        *([_categories(board)] if board.categories else []),
        *([_pareto(board)] if board.pareto else []),
        *([_people(board.agreement)] if board.agreement else []),
    ]
    sheet = ranking_sheet(first, board.tiers[board.scores[0]])
    needed = [each.words for each in board.needed]
    return Sheet(
        title=sheet.title,
        header=sheet.header,
        rows=sheet.rows,
        notes=[*sheet.notes, *needed],
        further=parts,
    )


def lettered(groups: Sequence[Sequence[str]]) -> dict[str, str]:
    """Checkpoint -> the letters of its groups, a first; numbers where letters do not reach."""
    alphabet = string.ascii_lowercase
    marks = [alphabet[k] if k < len(alphabet) else f"({k + 1})" for k in range(len(groups))]
    names = dict.fromkeys(name for group in groups for name in group)
    return {
        name: "".join(mark for mark, group in zip(marks, groups, strict=True) if name in group)
        for name in names
    }


def _figures(standing: Standing) -> list[Cell]:
    return [
        _within(standing.strength, standing.strength_interval),
        _within(standing.win_rate, standing.win_rate_interval),
        _within(standing.mean, standing.mean_interval),
        standing.pictures,
        standing.missing,
    ]


def _within(value: float, found: Interval) -> str:
    return interval(value, found.low, found.high)


def _alike(ranking: Ranking) -> list[str]:
    pairs = [m for m in ranking.meetings if not m.told_apart]
    if not pairs:
        return ["every two are told apart"] if ranking.meetings else []
    named = "; ".join(f"{m.first} and {m.second} (p = {m.p_adjusted:.2g})" for m in pairs[:_NAMED])
    more = f"; and {len(pairs) - _NAMED:,} more pairs" if len(pairs) > _NAMED else ""
    return [f"not told apart: {named}{more}"]


def _means(board: Leaderboard) -> Sheet:
    letters = {score: lettered(tiers) for score, tiers in board.tiers.items()}
    means = board.dimensions()
    rows: list[list[Cell]] = [
        [name, *(f"{means[name][score]:.4g} {letters[score][name]}" for score in board.scores)]
        for name in board.names
    ]
    return Sheet(
        title="Means; a shared letter is not told apart",
        header=[board.by, *board.scores],
        rows=rows,
    )


def _categories(board: Leaderboard) -> Sheet:
    score = board.scores[0]
    rows: list[list[Cell]] = []
    for category, found in board.categories.items():
        rates = {s.name: s.win_rate for s in found[score].standings}
        rows.append([category, found[score].compared.prompts, *(rates.get(n) for n in board.names)])
    few = ", ".join(board.small_categories)
    return Sheet(
        title=f"Win rate by {score} in each category",
        header=["category", "prompts", *board.names],
        rows=rows,
        notes=[f"too few prompts to rely on: {few}"] if few else [],
    )


def _pareto(board: Leaderboard) -> Sheet:
    rows: list[list[Cell]] = [
        [
            point.name,
            *point.values.values(),
            "yes" if point.on_front else "unknown" if point.missing else "no",
            point.frequency,
        ]
        for point in board.pareto
    ]
    names = [f"{o.name} ({'less' if o.minimise else 'more'} is better)" for o in board.objectives]
    return Sheet(
        title="Trade-offs", header=[board.by, *names, "on the front", "in draws"], rows=rows
    )


def _people(found: Sequence[Agreement]) -> Sheet:
    rows: list[list[Cell]] = [
        [
            each.column,
            each.aspect,
            interval(each.accuracy.accuracy, each.accuracy.low, each.accuracy.high),
            each.accuracy.pairs,
            _within(each.kendall, each.kendall_interval),
        ]
        for each in found
    ]
    header = ["score", "people on", "pair accuracy", "pairs", "Kendall tau-b"]
    return Sheet(title="Beside people", header=header, rows=rows)
