"""Inception Score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from beholder.eval._features import Features
from beholder.eval._jackknife import student_t
from beholder.eval.extractors.inception import RESIZES
from beholder.eval.inception_score import PARTS, InceptionScore, Splits, inception_score
from beholder.eval.measures._base import Measure, Measurement, Need, Side
from beholder.eval.measures._frechet import jackknife_text
from beholder.eval.measures._ranges import check_groups, one_of
from beholder.eval.measures._rows import ends_of, inception


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

    def __post_init__(self) -> None:
        check_groups(self.groups)
        one_of(RESIZES, resize=self.resize)


def needs(options: Options) -> list[Need]:
    """Logits of Inception without their bias."""
    return [inception("logits_unbiased", options.resize)]


def compute(_: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """The score by the parts asked for, and "inception_score_whole" of all pictures.

    With "both" the parts of ADM are a third one, "inception_score_adm". Too few pictures for the
    parts leave that score without a value.
    """
    (need,) = needs(options)
    logits = fake.features_of(need, "inception_score")
    first = "torch-fidelity" if options.splits == "both" else options.splits
    # any number of pictures can be divided as in ADM
    whole = inception_score(logits.values, splits="adm", groups=options.groups)
    found = [_by_parts("", logits, first)]
    if options.splits == "both":
        found.append(_by_parts("_adm", logits, "adm"))
    return [*found, _whole(logits, whole, options)]


def _by_parts(suffix: str, logits: Features, splits: Splits) -> Measurement:
    """The mean over parts; they share no picture, so their spread says how sure it is."""
    rows, metric = len(logits.values), f"inception_score{suffix}"
    protocol = {**logits.origin.as_dict(), "splits": splits}
    if rows < PARTS and splits != "adm":
        why = f"{rows} rows cannot be divided into {PARTS} parts"
        return Measurement(metric=metric, value=None, fake=rows, protocol=protocol, why=why)
    found = inception_score(logits.values, splits=splits, groups=0)
    parts = len(found.scores)
    reach = None
    if parts > 1:
        error = float(found.scores.std(ddof=1)) / math.sqrt(parts)
        reach = error * student_t(0.975, parts - 1)
    return Measurement(
        metric=metric,
        value=found.mean,
        low=None if reach is None else found.mean - reach,
        high=None if reach is None else found.mean + reach,
        interval="" if reach is None else f"Student's t over {parts} parts without common pictures",
        fake=rows,
        protocol=protocol,
        details={"deviation": found.deviation, "ddof": found.ddof, "parts": parts},
        biased=True,
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
        biased=True,
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
