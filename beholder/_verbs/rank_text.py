"""What the verb rank tells a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from beholder._terminal import interval, one_line, table
from beholder.eval._sheets.ranking import lettered

if TYPE_CHECKING:
    from beholder.eval.leaderboard import Agreement, Leaderboard
    from beholder.eval.ranking import Ranking

_REDRAWN = {
    "prompts": "paired bootstrap over prompts",
    "seeds": "paired bootstrap over the pictures of these prompts",
    "both": "paired bootstrap over prompts and their pictures",
}


def leaderboard_text(board: Leaderboard) -> str:
    """The first ranking, then every other part that was asked for."""
    first = board.scores[0]
    parts = [ranking_text(board.rankings[first], board.tiers[first])]
    if len(board.scores) > 1:
        parts.append(_dimensions(board))
    parts += [_category(board, name) for name in board.categories]
    parts += [_left_out(board.categories_left_out)] if board.categories_left_out else []
    parts += [_pareto(board)] if board.pareto else []
    parts += [_agreement(board.agreement)] if board.agreement else []
    parts += [_needed(board)] if board.needed else []
    return "\n\n".join(parts)


def ranking_text(result: Ranking, tiers: Sequence[Sequence[str]] = ()) -> str:
    """Checkpoints from strongest to weakest, then who is not told apart.

    With `tiers` a column of letters says the same: two that share a letter are not told apart.
    """
    letters = lettered(tiers)
    rows = [
        [
            s.name,
            *([letters[s.name]] if letters else []),
            interval(s.strength, s.strength_interval.low, s.strength_interval.high),
            interval(s.win_rate, s.win_rate_interval.low, s.win_rate_interval.high),
            interval(s.mean, s.mean_interval.low, s.mean_interval.high),
            s.pictures,
            s.missing,
        ]
        for s in result.standings
    ]
    header = [result.by, "strength", "win rate", f"mean {result.score}", "pictures", "missing"]
    header[1:1] = ["group"] if letters else []
    lines = [table(rows, header)]
    lines += [
        f"not told apart: {m.first} and {m.second}, p = {m.p_adjusted:.3g}"
        for m in result.meetings
        if not m.told_apart
    ]
    lines.append(
        f"{_compared(result)}; {result.level:.0%} intervals, {_REDRAWN[result.resample]}; "
        f"permutation tests of the win rate, Holm-corrected, at {result.alpha:g}"
    )
    if result.left_out:
        lines.append(f"{result.left_out} rows without {result.by} or prompt do not count")
    return "\n".join(lines)


def _compared(ranking: Ranking) -> str:
    """How many prompts the figures are about, and why not about the others."""
    why = ranking.compared.left_out()
    return f"{ranking.compared.prompts} prompts compared" + (f", left out: {why}" if why else "")


def _dimensions(board: Leaderboard) -> str:
    """The mean of every score, with the letters of its groups."""
    letters = {score: lettered(tiers) for score, tiers in board.tiers.items()}
    means = board.dimensions()
    rows = [
        [name, *(f"{means[name][score]:.3f} {letters[score][name]}" for score in board.scores)]
        for name in board.names
    ]
    return table(rows, [f"{board.by}, means", *board.scores])


def _category(board: Leaderboard, name: str) -> str:
    ranking = board.categories[name][board.scores[0]]
    rows = [
        [s.name, interval(s.win_rate, s.win_rate_interval.low, s.win_rate_interval.high), s.prompts]
        for s in ranking.standings
    ]
    title = f"{one_line(name)}, {_compared(ranking)}"
    if name in board.small_categories:
        title += "; too few to rely on"
    lines = [title, table(rows, [board.by, "win rate", "prompts"])]
    told = [f"{m.first} over {m.second}" for m in ranking.meetings if m.told_apart]
    return "\n".join([*lines, f"told apart: {', '.join(told) or 'none'}"])


def _left_out(why: Mapping[str, str]) -> str:
    return "\n".join(f"not ranked: {one_line(name)}: {text}" for name, text in why.items())


def _pareto(board: Leaderboard) -> str:
    rows = [
        [
            point.name,
            *point.values.values(),
            "yes" if point.on_front else "unknown" if point.missing else "no",
            f"{point.frequency:.2f}",
            ", ".join(point.dominated_by),
        ]
        for point in board.pareto
    ]
    names = [f"{o.name} ({'less' if o.minimise else 'more'})" for o in board.objectives]
    return table(rows, [board.by, *names, "on front", "in draws", "dominated by"])


def _agreement(found: Sequence[Agreement]) -> str:
    rows = [
        [
            each.column,
            each.aspect,
            interval(each.accuracy.accuracy, each.accuracy.low, each.accuracy.high),
            each.accuracy.pairs,
            interval(each.kendall, each.kendall_interval.low, each.kendall_interval.high),
            interval(each.spearman, each.spearman_interval.low, each.spearman_interval.high),
        ]
        for each in found
    ]
    header = ["score", "people on", "pair accuracy", "pairs", "Kendall tau-b", "Spearman rho"]
    return "\n".join([table(rows, header), *_remarks(found)])


def _needed(board: Leaderboard) -> str:
    title = f"prompts that tell neighbours apart by their {board.needed[0].of}, less a half:"
    return "\n".join([title, *(f"  {one_line(needed.words)}" for needed in board.needed)])


def _remarks(found: Sequence[Agreement]) -> Iterator[str]:
    for each in found:
        yield from (
            f"{each.column}: people prefer {flip.people} to {flip.score}, the score does not"
            for flip in each.flips
        )
        if each.why:
            yield f"{each.column}: {each.why}"
