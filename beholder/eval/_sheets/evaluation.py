"""Evaluations on people's answers as sheets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beholder._notebook.plain import counted, interval
from beholder._notebook.sheet import Cell, Sheet

if TYPE_CHECKING:
    from beholder.eval.feedback import FeedbackEvaluation
    from beholder.eval.preference import Evaluation

_NAMED = 5
"""Pictures without a score that are named."""


def evaluation_sheet(result: Evaluation) -> Sheet:
    """The accuracy of each aspect with its interval, what it counts, and what counts nowhere."""
    rows: list[list[Cell]] = [
        [
            aspect,
            interval(found.accuracy, found.low, found.high),
            found.pairs,
            found.prompts,
            found.human_ties,
            result.scored_by.get(aspect, ""),
        ]
        for aspect, found in result.aspects.items()
    ]
    header = ["aspect", f"accuracy [{result.level:.0%}]", "pairs", "prompts", "ties", "judged by"]
    return Sheet(
        title=f"Pair accuracy on {counted(result.pairs, 'pair')}, protocol {result.protocol}",
        header=header,
        rows=rows,
        notes=[result.meaning, *_unscored(result)],
    )


def feedback_evaluation_sheet(result: FeedbackEvaluation) -> Sheet:
    """Every figure with its interval, and what it was not measured on."""
    rows: list[list[Cell]] = [
        [name, interval(e.value, e.low, e.high), e.samples, e.why]
        for name, e in result.figures.items()
    ]
    header: list[str] = ["figure", f"value [{result.level:.0%}]", "samples", "none because"]
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return Sheet(
        title=f"Rich feedback of {counted(result.records, 'picture')}",
        header=header,
        rows=rows,
        notes=[
            *(f"no {part}: {count:,}" for part, count in result.unanswered.items()),
            *(f"not scored, {code}: {count:,}" for code, count in result.reasons().items()),
        ],
    )


def _unscored(result: Evaluation) -> list[str]:
    if not result.unreadable:
        return []
    head = f"{counted(len(result.unreadable), 'picture')} without a score; "
    head += f"{counted(result.pairs_left_out, 'pair')} with such a picture left out"
    named = list(result.unreadable.items())[:_NAMED]
    return [head, *(f"{picture}: {why}" for picture, why in named)]
