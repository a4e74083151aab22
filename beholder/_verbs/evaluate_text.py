"""What the verbs evaluate and power tell a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from beholder._terminal import interval, one_line, table

if TYPE_CHECKING:
    from beholder.eval.evaluation_differences import Difference
    from beholder.eval.evaluation_record import PairData, Published
    from beholder.eval.power import Needed, Width
    from beholder.eval.preference import Evaluation

_SHOWN = 5
"""Pictures without a score that are named; all are in the JSON."""


def evaluation_text(
    name: str, result: Evaluation, data: PairData, own: Sequence[Published] = ()
) -> str:
    """Accuracy by aspect beside the `own` published one, its protocol, and what does not count."""
    rows = [
        [
            aspect,
            interval(a.accuracy, a.low, a.high),
            a.pairs,
            a.prompts,
            a.human_ties,
            _figures(own) if aspect == "overall" else "",
        ]
        for aspect, a in result.aspects.items()
    ]
    reward = f" for {own[0].reward}" if own else ""
    header = ["aspect", f"accuracy [{result.level:.0%}]", "pairs", "prompts", "ties"]
    return "\n".join(
        [
            one_line(f"{name} on {data.title}, protocol {result.protocol}: {result.meaning}"),
            table(rows, [*header, f"published{reward}"]),
            *_totals(result),
            *_thresholds(result),
            *_free(result),
            *_unscored(result),
            *(f"{n} rows left out: {one_line(why)}" for why, n in data.rows_left_out.items()),
        ]
    )


def learned_text(name: str, dataset: str) -> str:
    """That a number on what a reward learned from says little."""
    return (
        f"WARNING: {name} was trained on {dataset}; on what it has learned a reward looks better "
        "than it is, so judge it by other prompts"
    )


def differences_text(found: Sequence[Difference]) -> str:
    """Each paired difference with its interval and both p-values."""
    rows = [
        [
            f"{d.first} - {d.second}",
            d.aspect,
            interval(d.difference, d.low, d.high),
            _p(d.p),
            _p(d.p_holm),
            d.pairs,
            d.prompts,
        ]
        for d in found
    ]
    header = ["difference", "aspect", "value [95%]", "p", "p (Holm)", "pairs", "prompts"]
    return "\n".join(
        [table(rows, header), "on the pairs that both score; p by sign flips of whole prompts"]
    )


def published_text(published: Sequence[Published]) -> str:
    """What is published of this data set, with the protocol of each figure."""
    rows = [[p.reward, f"{p.percent:g} %", p.protocol, p.source] for p in published]
    return "\n".join(
        [
            f"published for {published[0].data}; figures of two protocols do not compare:",
            table(rows, ["reward", "accuracy", "protocol", "source"]),
        ]
    )


def power_text(found: Sequence[Needed]) -> str:
    """How many prompts tell every two sides apart, then each answer in words."""
    rows = [
        [
            f"{n.first} - {n.second}",
            n.of,
            interval(n.difference, n.low, n.high),
            n.prompts,
            n.power_now,
            _count(n.needed),
            f"{_count(n.needed_low)} to {_count(n.needed_high)}",
            n.smallest,
        ]
        for n in found
    ]
    header = ["difference", "of", "value [95%]", "prompts", "power", "needed"]
    header += ["for the interval", "smallest told"]
    return "\n".join([table(rows, header), *(one_line(n.words) for n in found)])


def width_text(title: str, found: Sequence[Width]) -> str:
    """How many prompts fix each accuracy as closely as wanted."""
    rows = [[w.of, w.accuracy, w.prompts, w.within_now, _count(w.needed)] for w in found]
    within = f"prompts for +-{found[0].within:g}" if found else "prompts"
    header = ["aspect", "accuracy", "prompts", "+- now", within]
    return "\n".join([one_line(title), table(rows, header)])


def record_title(record: Mapping[str, object]) -> str:
    """Which evaluation a record is of."""
    data = record.get("data")
    named = data if isinstance(data, Mapping) else {}
    title = f"{named.get('name', '')} {named.get('split', '')}".strip()
    return f"{title}, protocol {record.get('protocol', '')}, {record.get('date', '')}"


def _figures(own: Sequence[Published]) -> str:
    return ", ".join(f"{each.percent:g} %" for each in own) or "none"


def _totals(result: Evaluation) -> list[str]:
    """Which aspects had no score of their own, "overall" aside, which a total stands for."""
    borrowed = [a for a, score in result.scored_by.items() if score == "total" and a != "overall"]
    if not borrowed:
        return []
    named = one_line(", ".join(borrowed))
    return [f"the reward has no score of its own for {named}; its total decides"]


def _thresholds(result: Evaluation) -> list[str]:
    told = {a: x.tie_threshold for a, x in result.aspects.items() if x.tie_threshold is not None}
    if not told:
        return []
    values = ", ".join(f"{aspect} {value:g}" for aspect, value in told.items())
    return [one_line(f"tie threshold ({result.tie_threshold_from}): {values}")]


def _free(result: Evaluation) -> list[str]:
    equal = sum(a.equal_scores for a in result.aspects.values())
    if not (equal and result.protocol.startswith("hpdv2/")):
        return []
    return [f"{equal} pairs have equal scores, which this protocol counts as right"]


def _unscored(result: Evaluation) -> list[str]:
    if not result.unreadable:
        return []
    head = (
        f"{len(result.unreadable)} pictures have no score; {result.pairs_left_out} pairs with them "
        "do not count"
    )
    named = list(result.unreadable.items())[:_SHOWN]
    return [head, *(f"  {one_line(f'{picture}: {why}')}" for picture, why in named)]


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else f"{value:.0e}"


def _count(value: int | None) -> str:
    return "no number" if value is None else f"{value:,}"
