"""What the verbs of training tell a person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beholder._terminal import interval, one_line, table

if TYPE_CHECKING:
    from beholder.eval.preference import Evaluation
    from beholder.training.distill import Fidelity
    from beholder.training.learning_curve import Curve


_HELD_OUT = {"eval/accuracy": "accuracy", "eval/srcc": "rank correlation", "eval/loss": "loss"}


def trained_text(summary: Mapping[str, Any]) -> str:
    """What came of a run, in a line or two."""
    step, steps = summary.get("best_step", 0), summary.get("steps", 0)
    processes = summary.get("processes") or 1
    where = f" on {processes} processes" if processes > 1 else ""
    metrics = summary.get("metrics") or {}
    name = next((name for name in _HELD_OUT if metrics.get(name) is not None), None)
    if name is None:
        return f"{steps} steps{where}; nothing was held out"
    return (
        f"held out: {_HELD_OUT[name]} {metrics[name]:.3f} after step {step} of {steps}{where}, the "
        "best of them\nit chose the weights, so it is a little too good: evaluate on other prompts"
    )


def curve_text(found: Curve) -> str:
    """A line for each run, then what twice the data would give."""
    rows = []
    for point, named in zip(found.points, found.measured, strict=True):
        one = named["all"]
        told = interval(one.value, one.low, one.high)
        fraction = f"{point.fraction:g}"
        rows.append([fraction, point.repeat, point.judgements, point.prompts, told, one.prompts])
    measured = f"{found.measure} [95%]"
    header = ["fraction", "run", found.unit, "prompts", measured, "held-out prompts"]
    return "\n".join([table(rows, header), found.statement()])


def distilled_text(about: Mapping[str, Any], out: Path) -> str:
    """How many pairs came of how many rows, and why others did not."""
    pairs = about["pairs"]
    judges = one_line(", ".join(about["judges"]))
    lines = [
        f"{out}: {pairs['training']} pairs to learn from, {pairs['held_out']} held out, of "
        f"{about['prompts']} prompts, judged by {judges}"
    ]
    lines += [f"  {one_line(column)}: {_sure(curve)}" for column, curve in about["curves"].items()]
    lines += [
        f"  {one_line(what)}: {count} answers" for what, count in about["answers"].items() if count
    ]
    if unasked := about["pairs"]["left_out"]:
        lines.append(f"  {unasked} pairs left out, by the number of pairs for each prompt")
    lines += [
        f"  {count} rows left out: {one_line(w)}" for w, count in about["skipped_rows"].items()
    ]
    return "\n".join(lines)


def fidelity_text(found: Fidelity) -> str:
    """How far the student agrees with its judge, and both with people."""
    rows = [["student with its judges", *row] for row in _rows(found.judge)]
    if found.people is not None:
        rows += [["student with people", *row] for row in _rows(found.people)]
    for judge, one in found.judges_people.items():
        rows += [[f"{judge} with people", *row] for row in _rows(one)]
    return table(rows, ["agreement of", "aspect", "accuracy [95%]", "pairs", "prompts"])


def _rows(found: Evaluation) -> list[list[object]]:
    return [
        [aspect, interval(one.accuracy, one.low, one.high), one.pairs, one.prompts]
        for aspect, one in found.aspects.items()
    ]


def _sure(curve: Mapping[str, Any]) -> str:
    if curve["knots"]:
        return "calibrated"
    return f"sigmoid(margin / {curve['temperature']:.4g})"
