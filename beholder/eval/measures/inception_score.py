"""Inception Score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from beholder.eval._features import Features
from beholder.eval._jackknife import student_t
from beholder.eval.inception_score import InceptionScore, Splits, inception_score
from beholder.eval.measures._base import Measure, Measurement, Need, Side
from beholder.eval.measures._frechet import jackknife_text
from beholder.eval.measures._rows import ends_of, inception

_BOTH: tuple[Splits, ...] = ("torch-fidelity", "adm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of the Inception Score.

    Attributes:
        splits: whose way of dividing the pictures: "torch-fidelity" (10 shuffled parts),
            "improved-gan" (10 in order), "adm" (of 5000 in order), "torchmetrics", "dgm-eval", or
            "both" of "torch-fidelity" and "adm".
        groups: of the jackknife of the score of all pictures; 0 for no interval.
        resize: how pictures come to the size of the network.
    """

    splits: Literal["both", "torch-fidelity", "improved-gan", "adm", "torchmetrics", "dgm-eval"] = (
        "both"
    )
    groups: int = 10
    resize: str = "tf1"


def needs(options: Options) -> list[Need]:
    """Logits of Inception without their bias."""
    return [inception("logits_unbiased", options.resize)]


def compute(_: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """The score by the parts asked for, and "inception_score_whole" of all pictures.

    With "both" the parts of ADM are a third one, "inception_score_adm".
    """
    (need,) = needs(options)
    logits = fake.features_of(need, "inception_score")
    if options.splits != "both":
        found = _score(logits, options.splits, options.groups)
        return [_by_parts("", logits, found, options.splits), _whole(logits, found, options)]
    scores = {splits: _score(logits, splits, options.groups) for splits in _BOTH}
    return [
        _by_parts("", logits, scores["torch-fidelity"], "torch-fidelity"),
        _by_parts("_adm", logits, scores["adm"], "adm"),
        _whole(logits, scores["adm"], options),
    ]


def _score(logits: Features, splits: Splits, groups: int) -> InceptionScore:
    return inception_score(logits.values, splits=splits, groups=groups)


def _by_parts(suffix: str, logits: Features, found: InceptionScore, splits: str) -> Measurement:
    """The mean over parts; they share no picture, so their spread says how sure it is."""
    parts = len(found.scores)
    reach = None
    if parts > 1:
        error = float(found.scores.std(ddof=1)) / math.sqrt(parts)
        reach = error * student_t(0.975, parts - 1)
    return Measurement(
        metric=f"inception_score{suffix}",
        value=found.mean,
        low=None if reach is None else found.mean - reach,
        high=None if reach is None else found.mean + reach,
        interval="" if reach is None else f"Student's t over {parts} parts without common pictures",
        fake=len(logits.values),
        protocol={**logits.origin.as_dict(), "splits": splits},
        details={"deviation": found.deviation, "ddof": found.ddof, "parts": parts},
    )


def _whole(logits: Features, found: InceptionScore, options: Options) -> Measurement:
    groups = min(options.groups, len(logits.values))
    ends = ends_of(found.jackknife, jackknife_text({"fake": groups}), least=1.0)
    return Measurement(
        metric="inception_score_whole",
        value=found.whole,
        low=ends.low,
        high=ends.high,
        interval=ends.interval,
        fake=len(logits.values),
        protocol={**logits.origin.as_dict(), "splits": "none"},
        details=ends.details,
    )


MEASURE = Measure(
    title="Inception Score",
    definition=(
        "exp of the mean divergence of the class probabilities of a picture from their mean over "
        "pictures, by 1008 logits without bias, mean over parts (Salimans et al., 2016)"
    ),
    best="higher",
    options=Options,
    needs=needs,
    compute=compute,
    has_real=False,
)
