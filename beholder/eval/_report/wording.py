"""A report's most important figures as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from beholder._page.wording import percent
from beholder.eval._report.shown import AccuracyRow, Report


def summary(report: Report) -> str:
    """One or two sentences that say the most important figures; "" if there are none."""
    return " ".join(filter(None, (_accuracy_sentence(report), _ranking_sentence(report))))


def _accuracy_sentence(report: Report) -> str:
    rows = headline(report.accuracy)
    if not rows:
        return ""
    main = next((row for row in rows if row.aspect == "overall"), rows[-1])
    rivals = [r for r in report.accuracy if r.baseline and r.aspect == main.aspect]
    beside = " and ".join(f"{r.method} on {percent(r.accuracy)}" for r in rivals)
    return (
        f"{main.method} agrees with {report.judges} on {percent(main.accuracy)} of {main.pairs:,} "
        f"held-out pairs ({main.aspect})" + (f"; {beside}." if beside else ".")
    )


def _ranking_sentence(report: Report) -> str:
    if len(report.ranking) < 2:
        return ""
    first = report.ranking[0].name
    rivals = [set(group) - {first} for group in report.not_told_apart if first in group]
    if not rivals:
        return f"Of {len(report.ranking)} checkpoints, {first} ranks first."
    names = ", ".join(row.name for row in report.ranking if row.name in set.union(*rivals))
    return f"{first} ranks first, but is not told apart from {names}."


def headline(rows: Sequence[AccuracyRow]) -> list[AccuracyRow]:
    """The model's own rows: those of the first method that is no baseline."""
    own = [row for row in rows if not row.baseline]
    return [row for row in own if row.method == own[0].method]
