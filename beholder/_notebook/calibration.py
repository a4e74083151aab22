"""A calibration as a sheet: what margins are worth, and how good that knowledge is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beholder._notebook.plain import counted, interval
from beholder._notebook.sheet import Cell, Sheet

if TYPE_CHECKING:
    from beholder.calibration import Calibration, Measured, ScoreCalibration


def calibration_sheet(found: Calibration) -> Sheet:
    """A row for each score: its curve, how far stated shares are from people's, ties."""
    owner = "" if found.owner is None else f" of {found.owner.reward}"
    total = found.scores["total"]
    notes = [f"fitted on {found.judgements}"] if found.judgements else []
    if total.reference:
        named = f" {found.reference}" if found.reference else ""
        notes.append(f"reference set{named}: {counted(len(total.reference), 'score')}")
    notes += [f"{aspect} has none: {why}" for aspect, why in found.left_out.items()]
    return Sheet(
        title=f"Calibration{owner}, {found.method}, {counted(total.pairs, 'judged pair')}",
        header=["score", "people on", "curve", "error before", "error after", "accuracy", "pairs"],
        rows=[_row(name, score) for name, score in found.scores.items()],
        notes=notes,
    )


def _row(name: str, score: ScoreCalibration) -> list[Cell]:
    curve = score.curve
    said = f"T = {curve.temperature:.4g}"
    if curve.knots:
        said = f"{len(curve.knots)} steps to {curve.levels[-1]:.0%}"
    before, after = _within(score.before.ece), _within(score.after.ece)
    return [name, score.answers, said, before, after, _within(score.tie_accuracy), score.pairs]


def _within(found: Measured) -> str:
    return interval(found.value, found.low, found.high)
