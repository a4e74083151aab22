"""What `annotate agreement` tells a person: tables by aspect and by annotator, then the doubts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from beholder._terminal import interval, one_line, table

if TYPE_CHECKING:
    from beholder.annotation.trust.agreement import AgreementReport
    from beholder.annotation.trust.annotators import AnnotatorReport
    from beholder.annotation.trust.intervals import Interval
    from beholder.annotation.trust.overlap import Overlap
    from beholder.annotation.trust.raters import RaterReport
    from beholder.annotation.trust.rating_agreement import RatingAgreement

UNKNOWN = "-"


def agreement_text(report: AgreementReport) -> str:
    """Agreement on pairs: by aspect, on the shared tasks, by annotator, and whom to look at."""
    rows = [
        [
            aspect,
            a.answers,
            a.tasks,
            _percent(a.ties),
            _percent(a.percent),
            _shown(a.alpha_ordinal),
            _shown(a.alpha_nominal),
            _shown(a.fleiss.kappa),
            _shown(a.cohen.quadratic),
            _percent(report.sides[aspect].share.value),
        ]
        for aspect, a in report.aspects.items()
    ]
    head = ["aspect", "answers", "shared", "ties", "agree", "alpha ordinal", "alpha nominal"]
    people = [_annotator(name, found) for name, found in report.annotators.items()]
    who = ["annotator", "tasks", "shared", "others", "consensus", "gold", "repeats", "bias", "left"]
    return _joined(
        [
            table(rows, [*head, "Fleiss", "Cohen quadratic", "left"]) if rows else "no answers",
            _overlap(report.overlap),
            table(people, [*who, "seconds", "too fast"]) if people else "",
            _doubts(report.annotators),
        ]
    )


def rating_agreement_text(report: RatingAgreement) -> str:
    """Agreement on single pictures: ratings, words and places, by annotator, whom to look at."""
    rows = [
        [
            aspect,
            a.answers,
            a.tasks,
            a.mean,
            _percent(a.near.value),
            _percent(a.equal.value),
            _shown(a.alpha_interval),
            _shown(a.alpha_ordinal),
        ]
        for aspect, a in report.aspects.items()
    ]
    head = ["aspect", "answers", "shared", "mean", "within 1", "equal"]
    marks = [["words", "alpha nominal", _shown(report.words.alpha)]]
    marks += [[kind, "overlap of discs", _shown(p.iou)] for kind, p in report.points.items()]
    people = [_rater(name, found) for name, found in report.annotators.items()]
    who = ["annotator", "tasks", "shared", "others", "offset", "gold", "off by", "repeats"]
    return _joined(
        [
            table(rows, [*head, "alpha interval", "alpha ordinal"]) if rows else "no ratings",
            table(marks, ["marks", "measure", "agreement"]),
            _overlap(report.overlap),
            table(people, [*who, "seconds", "too fast"]) if people else "",
            _doubts(report.annotators),
        ]
    )


def _annotator(name: str, found: AnnotatorReport) -> list[object]:
    return [
        name,
        found.tasks,
        found.shared,
        _percent(found.others),
        _percent(found.consensus.share.value),
        _percent(found.gold.share.value),
        _percent(found.retest.same.value),
        _number(found.retest.bias.value, "+.2f"),
        _percent(found.left.share.value),
        _number(found.speed.seconds, ".1f"),
        _percent(found.speed.too_fast.value),
    ]


def _rater(name: str, found: RaterReport) -> list[object]:
    return [
        name,
        found.tasks,
        found.shared,
        _percent(found.consensus.near.value),
        _number(found.consensus.offset, "+.2f"),
        _percent(found.gold.near.value),
        _number(found.gold.error, ".2f"),
        _percent(found.retest.near.value),
        _number(found.speed.seconds, ".1f"),
        _percent(found.speed.too_fast.value),
    ]


def _overlap(found: Overlap) -> str:
    share = _percent(found.shared / found.tasks if found.tasks else math.nan)
    wanted = "" if found.wanted is None else f", {_percent(found.wanted)} were planned"
    return f"{found.shared} of {found.tasks} tasks answered by two or more ({share}{wanted})"


def _doubts(annotators: Mapping[str, AnnotatorReport] | Mapping[str, RaterReport]) -> str:
    lines = [
        line
        for name, found in annotators.items()
        if found.doubts
        for line in (f"  {one_line(name)}", *(f"    {doubt}" for doubt in found.doubts))
    ]
    return "\n".join(["to look at:", *lines]) if lines else ""


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _shown(found: Interval) -> str:
    return interval(found.value, found.low, found.high) if math.isfinite(found.value) else UNKNOWN


def _percent(share: float) -> str:
    return _number(share, ".0%")


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else UNKNOWN
