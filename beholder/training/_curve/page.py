"""A learning curve as one HTML page: the curve, what twice the data would give, exact figures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup

from beholder._page.curves import Guide, Series, curve
from beholder._page.document import Figure, Page, render_page, write_whole
from beholder._page.wording import number
from beholder.training._curve.judging import ACCURACY, CORRELATION

if TYPE_CHECKING:
    from beholder.training.learning_curve import Curve, Measured, Point

PAGE = "curve.html"
_TEMPLATES = Path(__file__).parent / "templates"
_TITLE = "What more data gives"
_NAMES = {
    ACCURACY: "Held-out accuracy, protocol imagereward",
    CORRELATION: "Held-out correlation, Spearman's",
}
_METHODS = (
    "Accuracy: pairs ordered as people order them over pairs without a human tie "
    "(Xu et al., ImageReward, NeurIPS 2023).",
    "Intervals redraw held-out prompts, for all runs together (Efron, 1979).",
    "Twice the data: a line over log n, and a power law of the error (Hestness et al., 2017).",
)


def write_curve_page(found: Curve, folder: Path) -> Path:
    """The path of `curve.html` in a folder, written whole."""
    panels = {name: drawing(found, name) for name in found.measured[0]}
    drawn = {name: plot for name, plot in panels.items() if plot}
    values = {
        "panels": drawn,
        "rows": list(rows(found)),
        "unit": found.unit,
        "measure": found.measure,
    }
    html = render_page(frame(found), _TEMPLATES, list(panels), values)
    return write_whole(folder / PAGE, html)


def frame(found: Curve) -> Page:
    """The masthead and the sections."""
    last = found.points[-1]
    best = found.measured[-1]["all"]
    figures = [
        Figure(
            name=f"at {last.judgements:,} {found.unit}",
            value=number(best.value, 3),
            aside=f"{number(best.low, 3)} to {number(best.high, 3)}",
        )
    ]
    outlook = found.outlook
    if outlook.value is not None:
        aside = f"{number(outlook.low, 3)} to {number(outlook.high, 3)}, extrapolated"
        name = f"at twice as many, {outlook.size:,.0f}"
        figures.append(Figure(name=name, value=number(outlook.value, 3), aside=aside))
    return Page(
        brand="Beholder learning curve",
        title=_TITLE,
        summary=found.statement(),
        figures=figures,
        figures_are=f"{_NAMES[found.measure]} of all aspects together",
        protocol={
            "Measure": _NAMES[found.measure],
            "Held out": f"{best.judged:,} answers on {best.prompts:,} prompts, for all runs",
            "Intervals": f"95 %, {found.draws:,} draws of prompts, seed {found.seed}",
        },
        sections={"curve": "Quality over data", "figures": "Exact figures"},
        methods=_METHODS,
        style="learning.css",
    )


def drawing(found: Curve, aspect: str) -> Markup:
    """What is reached in an aspect, mean of the repeats; of "all", twice the data too."""
    groups: dict[float, list[tuple[Point, Measured]]] = defaultdict(list)
    for point, named in zip(found.points, found.measured, strict=True):
        if math.isfinite(named[aspect].value):
            groups[point.fraction].append((point, named[aspect]))
    middle = [
        (fmean(p.judgements for p, _ in group), fmean(a.value for _, a in group))
        for group in groups.values()
    ]
    if not middle:
        return Markup()
    spread = [fmean(a.high - a.value for _, a in group) for group in groups.values()]
    below = [fmean(a.value - a.low for _, a in group) for group in groups.values()]
    lines = [
        Series(name="measured", points=middle, spread=spread, below=below, marked=True),
        *(_ahead(found, middle[-1]) if aspect == "all" else ()),
    ]
    guide = Guide(found.outlook.size, "twice the data") if len(lines) > 1 else None
    label = f"{_NAMES[found.measure]} of {aspect} over {found.unit}"
    level = 0.5 if found.measure == ACCURACY else 0.0
    return curve(lines, label, guide=guide, level=level, height=260, unit=found.unit)


def _ahead(found: Curve, last: tuple[float, float]) -> Iterator[Series]:
    """A line to what twice the data would give, with its interval as band."""
    outlook = found.outlook
    if outlook.value is None or outlook.low is None or outlook.high is None:
        return
    points = [last, (outlook.size, outlook.value)]
    yield Series(
        name="extrapolated",
        points=points,
        spread=[0.0, outlook.high - outlook.value],
        below=[0.0, outlook.value - outlook.low],
        tone="tone-2",
        marked=True,
    )


def rows(found: Curve) -> Iterator[Mapping[str, object]]:
    """What each run reaches in each aspect, for the table of exact figures."""
    for point, named in zip(found.points, found.measured, strict=True):
        for aspect, one in named.items():
            yield {"point": point, "aspect": aspect, "measured": one}
