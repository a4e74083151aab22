"""The card beside a data set: what it holds, in a few lines that need no program to read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from beholder.annotation.agreement import agreement
from beholder.annotation.answers import aspect_order
from beholder.types import Comparison, Preference


def comparisons_card(comparisons: Sequence[Comparison], notice: str = "") -> str:
    """Markdown: the notice; rows, annotators, flags; by aspect: answers, ties, agreement."""
    flags = Counter(flag for c in comparisons for flag in c.flags)
    named = {c.annotator for c in comparisons if "unknown_user" not in c.flags}
    facts = [
        *([notice, ""] if notice else []),
        f"{len(comparisons)} judgements of {len({c.key for c in comparisons})} questions "
        f"by {len(named)} annotators.",
        "`ranks_<aspect>` holds one rank a picture: 1 is best, equal ranks are a tie.",
        "Flags: " + (", ".join(f"{k} {n}" for k, n in sorted(flags.items())) or "none") + ".",
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
        *([notice, ""] if notice else []),
        f"{len(preferences)} pairs of {len(pictures)} pictures.",
        "`p_<aspect>` is how strongly `first` is preferred: 1 always, 0 never, 0.5 a tie.",
    ]
    rows = [_aspect_row(preferences, a) for a in aspect_order(_aspects(preferences))]
    head = ("aspect", "pairs", "answers", "undecided (p = 0.5)")
    return _card("Preferences between pictures", facts, head, rows)


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
        lines += ["| " + " | ".join(cells) + " |" for cells in table]
    return "\n".join(lines) + "\n"


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "undefined"
