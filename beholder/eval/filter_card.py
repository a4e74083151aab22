"""What a filter did, as one self-contained HTML page: counts, columns, and pictures at its edge.

The page asks nothing of the network, runs no script and opens from any folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from beholder._notebook.framed import framed
from beholder._page.document import Figure, Page, render_page
from beholder._page.wording import MINUS, percent, shorten
from beholder.eval._filter_card.drawing import share_bar, value
from beholder.eval._filter_card.tally import BINS, Tally
from beholder.eval._filter_card.told import beyond, histogram, quantiles, steps
from beholder.images import ImageSource

SHOWN = 8
"""Pictures, or pairs of them, that one part of the page shows at most."""

_MOST_REASONS = 12
_MOST_STRATA = 60
_MOST_EXAMPLES = 5
_TEMPLATES = Path(__file__).parent / "_filter_card" / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a filter, and what it took away.

    Attributes:
        name: what was asked, such as "mps.total > 0.3" or "near-duplicates".
        dropped: reason, or code of an error -> rows; empty if all passed.
    """

    name: str
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A value of a column on which it was decided, and its name, such as "quantile 0.9"."""

    value: float
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that the rule asks about: where its values lie, and where it was cut."""

    tally: Tally
    thresholds: Sequence[Threshold] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A picture beside the boundary, and the score that put it there."""

    key: str
    image: ImageSource
    score: float
    prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePair:
    """A dropped picture, the picture it is too like, and the cosine of the two."""

    key: str
    image: ImageSource
    of_key: str
    of_image: ImageSource | None
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """How many rows of each stratum were kept: value of the column -> (kept, all)."""

    column: str
    counts: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Rows that have an error: how many, and some of them as "key: why"."""

    rows: int
    examples: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterCard:
    """What a filter was asked and what it did; parts that are empty are not shown.

    Attributes:
        source: what was filtered, as a person named it.
        rule: what was asked, in words; one line for each condition.
        rows, kept: numbers of rows.
        stages: the steps in order; what they dropped adds up to `rows - kept`.
        columns: those that the rule asks about.
        score: the column by which pictures stand at the boundary.
        barely_kept: kept pictures, those nearest to the cut first; the first `SHOWN` are shown.
        barely_dropped: pictures that `score` dropped, those nearest to the cut first.
        strata: of a stratified filter.
        near_duplicates, contaminated: pairs, the most alike first.
        errors: code -> rows with it.
        protocol: what makes the result repeatable, name -> value.
        commands: shell lines that repeat it.
        methods: citations of what was used.
    """

    source: str
    rule: Sequence[str]
    rows: int
    kept: int
    stages: Sequence[Stage] = ()
    columns: Sequence[Column] = ()
    score: str = ""
    barely_kept: Sequence[Shown] = ()
    barely_dropped: Sequence[Shown] = ()
    strata: Strata | None = None
    near_duplicates: Sequence[PicturePair] = ()
    contaminated: Sequence[PicturePair] = ()
    errors: Mapping[str, Failures] = field(default_factory=dict)
    protocol: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()
    methods: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"FilterCard of {self.source}: {self.kept:,} of {self.rows:,} rows kept"

    def _repr_html_(self) -> str:
        return framed(filter_card(self), repr(self))


def filter_card(card: FilterCard) -> str:
    """The page about a filter, as HTML."""
    strata = sorted(
        ((name, *counts) for name, counts in (card.strata.counts if card.strata else {}).items()),
        key=lambda row: (-row[2], row[0]),
    )
    values = {
        "card": card,
        "steps": list(steps(card.rows, [(stage.name, stage.dropped) for stage in card.stages])),
        "columns": [_drawn(column) for column in card.columns],
        "strata": strata[:_MOST_STRATA],
        "further_strata": max(0, len(strata) - _MOST_STRATA),
        "most": SHOWN,
        "most_reasons": _MOST_REASONS,
        "most_examples": _MOST_EXAMPLES,
        "bins": BINS,
        "minus": MINUS,
        "share_bar": share_bar,
        "value": value,
    }
    return render_page(_frame(card), _TEMPLATES, [], values)


def _drawn(column: Column) -> dict[str, object]:
    tally = column.tally
    marks = [(cut.value, f"{cut.name or 'cut'}: {value(cut.value)}") for cut in column.thresholds]
    return {
        "tally": tally,
        "plot": histogram(tally, marks),
        "beyond": beyond(tally, marks),
        "missing": sum(tally.missing),
        "quantiles": quantiles(tally),
    }


def _frame(card: FilterCard) -> Page:
    parts = {
        "steps": ("Step by step", True),
        "columns": ("Where it was cut", card.columns),
        "boundary": ("At the boundary", card.barely_kept or card.barely_dropped),
        "strata": (f"By {card.strata.column}" if card.strata else "", card.strata),
        "near": ("Near-duplicates", card.near_duplicates),
        "contaminated": ("In the evaluation set", card.contaminated),
        "failures": ("Not judged", card.errors),
    }
    failed = sum(failures.rows for failures in card.errors.values())
    judged = f" {failed:,} could not be judged." if failed else ""
    return Page(
        brand="Beholder filter",
        title=f"{_share(card)} of {shorten(card.source, 60)} kept",
        summary=f"{card.kept:,} of {card.rows:,} rows were kept and {card.rows - card.kept:,} "
        f"dropped, each with its reason.{judged}",
        notice=_notice(card),
        figures=[
            Figure(name="kept", value=f"{card.kept:,}", aside=f"{_share(card)} of all rows"),
            Figure(name="dropped", value=f"{card.rows - card.kept:,}", aside=_most_for(card)),
        ],
        figures_are="Numbers of rows",
        protocol=card.protocol,
        sections={id_: name for id_, (name, shown) in parts.items() if shown},
        commands=card.commands,
        methods=card.methods,
        style="filter_card.css",
    )


def _share(card: FilterCard) -> str:
    """Kept rows in percent, never "0 %" or "100 %" where that is not all of the truth."""
    share = card.kept / max(card.rows, 1)
    if 0 < card.kept < card.rows and not 0.005 <= share < 0.995:
        return f"{100 * share:.2g}\N{NO-BREAK SPACE}%" if share < 0.5 else "Nearly all"
    return percent(share)


def _most_for(card: FilterCard) -> str:
    """What most rows were dropped for."""
    reasons = [(count, name) for stage in card.stages for name, count in stage.dropped.items()]
    return f"most for: {max(reasons)[1]}" if reasons else ""


def _notice(card: FilterCard) -> str:
    if not card.kept:
        return "No row was kept. The steps below tell which condition none fulfils."
    return ""
