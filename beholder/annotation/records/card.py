"""The card beside a data set: what it holds, in a few lines that need no program to read."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import beholder
from beholder.annotation.joining.answers import DOUBTFUL, aspect_order
from beholder.annotation.trust.agreement import agreement
from beholder.annotation.trust.alpha import krippendorff_alpha
from beholder.types import MAPS, RATED, Comparison, Feedback, Preference, Rating


def comparisons_card(comparisons: Sequence[Comparison], notice: str = "") -> str:
    """Markdown: the notice; rows, annotators, flags; by aspect: answers, ties, agreement."""
    facts = [
        *_opening(notice),
        _judgements(comparisons),
        "`ranks_<aspect>` holds one rank a picture: 1 is best, equal ranks are a tie.",
        _flags(comparisons),
    ]
    rows = [
        (
            a,
            str(x.answers),
            f"{x.ties:.1%}",
            _number(x.percent, ".1%"),
            _number(x.alpha_ordinal.value, ".3f"),
        )
        for a, x in agreement(comparisons).aspects.items()
    ]
    head = ("aspect", "answers", "ties", "agreement", "Krippendorff's alpha (ordinal)")
    return _card("Comparisons of pictures", facts, head, rows)


def preferences_card(preferences: Sequence[Preference], notice: str = "") -> str:
    """Markdown: the notice; pairs and pictures; by aspect: pairs, answers and ties."""
    pictures = {picture for p in preferences for picture in (p.first, p.second)}
    facts = [
        *_opening(notice),
        f"{len(preferences)} pairs of {len(pictures)} pictures.",
        "`p_<aspect>` is how strongly `first` is preferred: 1 always, 0 never, 0.5 a tie.",
    ]
    rows = [_aspect_row(preferences, a) for a in aspect_order(_aspects(preferences))]
    head = ("aspect", "pairs", "answers", "undecided (p = 0.5)")
    return _card("Preferences between pictures", facts, head, rows)


def ratings_card(ratings: Sequence[Rating], notice: str = "") -> str:
    """Markdown: the notice; rows, annotators, flags, marks; by aspect: answers, mean, agreement."""
    clean = [r for r in ratings if not r.flags & DOUBTFUL]
    points = {kind: sum(len(r.points.get(kind, ())) for r in clean) for kind in MAPS}
    facts = [
        *_opening(notice),
        _judgements(ratings),
        "Ratings lie in [0, 1], higher is better; points are shares of the picture's width and "
        "height from the top left; `misaligned` spans count code points.",
        _flags(ratings),
        f"The {len(clean)} ratings that count mark "
        + ", ".join(f"{n} points of {kind}" for kind, n in points.items())
        + f" and {sum(len(r.misaligned) for r in clean)} spans.",
    ]
    rows = [_rated_row(clean, aspect) for aspect in RATED]
    head = ("aspect", "answers", "mean", "Krippendorff's alpha (interval)")
    return _card("Ratings of pictures", facts, head, rows)


@dataclass(slots=True)
class FeedbackTally:
    """Counts feedback as it passes, so that its card needs no second look."""

    pictures: int = 0
    votes: int = 0
    without_maps: int = 0
    words: int = 0
    misaligned: int = 0
    values: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, feedback: Feedback) -> None:
        """Count one picture."""
        self.pictures += 1
        self.votes += feedback.votes
        self.without_maps += not feedback.maps
        self.words += len(feedback.words)
        self.misaligned += sum(word.p_misaligned > 0.5 for word in feedback.words)
        for aspect, value in feedback.values.items():
            self.values[aspect].append(value)

    def card(self, notice: str = "") -> str:
        """Markdown: the notice; pictures, votes, maps, words; by aspect: pictures and mean."""
        facts = [
            *_opening(notice),
            f"{self.pictures} pictures with {self.votes} ratings behind them.",
            "Values lie in [0, 1], higher is better, mean over annotators. `map_<kind>` is grey: "
            "0 where nobody marked a fault, 255 where everybody did; "
            f"{self.without_maps} pictures have no maps.",
            f"{self.misaligned} of {self.words} words are missed by the picture according to most "
            "annotators (`p_misaligned` above 0.5).",
        ]
        rows = [(a, str(len(v)), f"{sum(v) / len(v):.3f}") for a, v in self.values.items()]
        return _card("Rich feedback on pictures", facts, ("aspect", "pictures", "mean"), rows)


def _rated_row(ratings: Sequence[Rating], aspect: str) -> Sequence[str]:
    units: defaultdict[str, list[float]] = defaultdict(list)
    for rating in ratings:
        if aspect in rating.values:
            units[rating.key].append(rating.values[aspect])
    values = [value for unit in units.values() for value in unit]
    mean = sum(values) / len(values) if values else math.nan
    alpha = krippendorff_alpha(list(units.values()), "interval").value
    return aspect, str(len(values)), _number(mean, ".3f"), _number(alpha, ".3f")


def _opening(notice: str) -> list[str]:
    return [notice, ""] if notice else []


def _judgements(records: Sequence[Comparison] | Sequence[Rating]) -> str:
    named = {r.annotator for r in records if "unknown_user" not in r.flags}
    return (
        f"{len(records)} judgements of {len({r.key for r in records})} questions "
        f"by {len(named)} annotators."
    )


def _flags(records: Sequence[Comparison] | Sequence[Rating]) -> str:
    flags = Counter(flag for record in records for flag in record.flags)
    return "Flags: " + (", ".join(f"{k} {n}" for k, n in sorted(flags.items())) or "none") + "."


def _aspects(preferences: Sequence[Preference]) -> set[str]:
    return {aspect for p in preferences for aspect in p.p_first}


def _aspect_row(preferences: Sequence[Preference], aspect: str) -> Sequence[str]:
    values = [p.p_first[aspect] for p in preferences if aspect in p.p_first]
    answers = sum(p.votes.get(aspect, 0) for p in preferences)
    ties = sum(math.isclose(value, 0.5) for value in values) / len(values)
    return aspect, str(len(values)), str(answers), f"{ties:.1%}"


def _card(
    title: str, facts: Sequence[str], head: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    lines = [f"# {title}", "", *facts, ""]
    if rows:
        table = [head, ["---"] * len(head), *rows]
        lines += ["| " + " | ".join(cells) + " |" for cells in table] + [""]
    return "\n".join([*lines, f"Written by beholder {beholder.__version__}."]) + "\n"


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "undefined"
