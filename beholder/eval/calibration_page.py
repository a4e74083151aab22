"""A calibration as one self-contained HTML page: reliability diagrams and exact figures.

The page asks nothing of the network, runs no script and opens from any folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from beholder._page.document import Figure, Page, render_page, write_whole
from beholder._page.wording import number
from beholder.calibration import Calibration, Measured, ScoreCalibration
from beholder.eval._calibration.diagram import diagram

_TEMPLATES = Path(__file__).parent / "_calibration" / "templates"
_CITED = {
    "temperature": (
        "Temperature: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017."
    ),
    "isotonic": (
        "Isotonic: B. Zadrozny and C. Elkan, Transforming Classifier Scores into Accurate "
        "Multiclass Probability Estimates, KDD 2002."
    ),
}
_TIES = "Ties: Y. Kirstain et al., Pick-a-Pic, NeurIPS 2023."
_INTERVALS = (
    "Intervals: B. Efron, Bootstrap Methods: Another Look at the Jackknife, Annals of "
    "Statistics 7, 1979; over prompts."
)


def write_calibration_page(
    calibration: Calibration,
    path: str | os.PathLike[str],
    *,
    name: str,
    commands: Sequence[str] = (),
) -> Path:
    """The path of the page about the reward `name`, written whole or not at all.

    `commands` are shell lines that repeat it.
    """
    values = {
        "calibration": calibration,
        "diagram": diagram,
        "told": _shown,
        "curve": curve_text,
    }
    page = _frame(calibration, name, commands)
    html = render_page(page, _TEMPLATES, list(calibration.scores), values)
    return write_whole(Path(path), html)


def summary(calibration: Calibration) -> str:
    """One or two sentences: whether the total's probabilities can be trusted, and what it cost."""
    total = calibration.scores["total"]
    gain, left = total.log_loss_gain, total.after.ece
    helped = "it cannot be told whether calibrating helped"
    if gain.low > 0:
        helped = "calibrating made its probabilities better"
    if gain.high < 0:
        helped = "calibrating made its probabilities worse"
    off = (
        "No error is seen in those of pairs that it was not fitted on"
        if left.low < 0.005
        else "On pairs that it was not fitted on they are still off"
    )
    return (
        f"Judged by {total.pairs:,} pairs of {total.prompts:,} prompts {helped}. {off}: "
        f"{told(left)} on average."
    )


def told(found: Measured, digits: int = 3) -> str:
    """A number with its interval, such as "0.012 (0.000 to 0.031)"."""
    value, low, high = (number(x, digits) for x in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def _shown(found: Measured) -> Markup:
    """The same for a table, whose narrow cells break before the interval and not inside it."""
    value, _, interval = told(found).partition(" ")
    return Markup('{} <span class="range">{}</span>').format(value, interval)


def curve_text(found: ScoreCalibration) -> str:
    """What P is made of, in a few words."""
    curve = found.curve
    if curve.method == "temperature":
        return f"T = {curve.temperature:.4g}"
    return f"isotonic, {len(curve.knots)} knots, P up to {number(curve.levels[-1])}"


def _frame(calibration: Calibration, name: str, commands: Sequence[str]) -> Page:
    left_out = "; ".join(f"{aspect}: {why}" for aspect, why in calibration.left_out.items())
    sections = {"reliability": "How sure it is", "numbers": "Exact figures"}
    return Page(
        brand="Beholder calibration",
        title=f"How sure {name} is",
        summary=summary(calibration),
        notice=f"Not every aspect could be calibrated. {left_out}." if left_out else "",
        figures=[_figure(score, found) for score, found in calibration.scores.items()],
        figures_are="Expected calibration error after calibration",
        protocol=_protocol(calibration),
        sections=sections,
        commands=commands,
        methods=[_CITED[calibration.method], _TIES, _INTERVALS],
        style="calibration.css",
    )


def _figure(score: str, found: ScoreCalibration) -> Figure:
    before, after = found.before.ece, found.after.ece
    aside = f"error; {number(before.value, 3)} before"
    return Figure(name=score, value=number(after.value, 3), aside=aside)


def _protocol(calibration: Calibration) -> dict[str, str]:
    owner = calibration.owner
    given = {
        "Method": calibration.method,
        "Judgements": calibration.judgements,
        "Measured": f"on {calibration.folds} folds of prompts, fitted on the others",
        "Reference set": calibration.reference,
        "Intervals": f"95 %, {calibration.draws:,} draws of prompts, seed {calibration.seed}",
        "Weights": "" if owner is None else owner.weights[:12],
    }
    return {what: value for what, value in given.items() if value}
