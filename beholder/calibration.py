"""What a calibration is: how likely people agree with the margins of a reward.

A reward says which of two pictures is better; its calibration says how likely people say so too,
below which certainty they may as well be tied, and how often a score wins against the pictures of
a reference set. `eval.calibration` finds it on judgements; a reward's folder keeps it as
`calibration.json`, with what it belongs to: scores of other weights or options mean something else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from beholder._notebook.calibration import calibration_sheet
from beholder.errors import DataError

FILE = "calibration.json"
"""Beside the weights of a reward, and beside its shards in a table of scores."""

Floats = npt.NDArray[np.float64]
Method = Literal["temperature", "isotonic"]

MOST_REFERENCES = 1024
"""Scores that a reference set keeps; of more these are quantiles."""

_CELLS = 2**20  # margins that are held at once
_LIST = re.compile(r"\[\n\s*([-+\d.e,\s]+?)\s*\]")  # of numbers; no JSON text has a line break


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How likely people prefer the first picture of a pair, by its margin m = s_first - s_second.

    With `temperature` P = sigmoid(m / T) (Guo et al., ICML 2017). With `knots` P is the line
    through them: knots[k] is a size of m, levels[k] its P; before the first and after the last
    level stays as it is. Either way P(-m) = 1 - P(m).

    Attributes:
        temperature: above 0, in the unit of the scores; knots, if there are any, go before it.
        knots: growing, the first 0; empty for a temperature.
        levels: never falling, in [1/2, 1]; the first 1/2.
        tie_threshold: a tie is predicted where |2P - 1| is not above it, which is the |p1 - p0| of
            Pick-a-Pic (Kirstain et al., NeurIPS 2023).
    """

    temperature: float = 1.0
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    tie_threshold: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < np.inf:
            raise DataError(f"the temperature of a calibration is {self.temperature}, not above 0")
        if not 0 <= self.tie_threshold <= 1:
            raise DataError(f"the tie threshold {self.tie_threshold} is not in [0, 1]")
        if (self.knots or self.levels) and not _is_curve(self.knots, self.levels):
            raise DataError(
                "the knots of a calibration must grow from 0 and their levels from 1/2 to at most "
                f"1, one each; got {len(self.knots)} knots and {len(self.levels)} levels"
            )

    @property
    def method(self) -> Method:
        """What P is made of."""
        return "isotonic" if self.knots else "temperature"

    def probability(self, margin: Floats) -> Floats:
        """P of each margin, in [0, 1], never falling; NaN of NaN. Any shape."""
        if not self.knots:
            with np.errstate(over="ignore"):
                half_logit: Floats = margin / self.temperature / 2
            return (1 + np.tanh(half_logit)) / 2
        above = np.interp(np.abs(margin), self.knots, self.levels) - 0.5
        found: Floats = 0.5 + np.sign(margin) * above
        return found

    def decided(self, margin: Floats) -> Floats:
        """P of each margin, exactly 1/2 where a tie is predicted."""
        found = self.probability(margin)
        return np.where(self.is_tie(margin), 0.5, found)

    def is_tie(self, margin: Floats) -> npt.NDArray[np.bool_]:
        """Where a tie is predicted."""
        ties: npt.NDArray[np.bool_] = certainty(self.probability(margin)) <= self.tie_threshold
        return ties

    def log_loss(self, margin: Floats, p_first: Floats) -> Floats:
        """-p log P - (1 - p) log(1 - P) of each pair in nats, p the share of people."""
        if not self.knots:
            logit = margin / self.temperature
            loss: Floats = p_first * np.logaddexp(0, -logit) + (1 - p_first) * np.logaddexp(
                0, logit
            )
            return loss
        stated = self.probability(margin)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = [q * np.log(p) for q, p in ((p_first, stated), (1 - p_first, 1 - stated))]
        given: Floats = np.where(p_first > 0, terms[0], 0) + np.where(p_first < 1, terms[1], 0)
        return -given


def certainty(p: Floats) -> Floats:
    """|2p - 1|: 0 for a tie, 1 where it is certain who wins."""
    sure: Floats = np.abs(2 * p - 1)
    return sure


def _is_curve(knots: tuple[float, ...], levels: tuple[float, ...]) -> bool:
    if len(knots) != len(levels) or (knots[0], levels[0]) != (0.0, 0.5):
        return False
    grows = bool((np.diff(knots) > 0).all() and np.isfinite(knots[-1]))
    return grows and bool((np.diff(levels) >= 0).all()) and levels[-1] <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number with its 95 % interval, which redraws prompts."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Pairs of nearly the same certainty.

    Attributes:
        stated: mean probability that the picture of the higher score is preferred.
        observed: how often people prefer it, ties as a half, with its interval.
        pairs: how many there are.
    """

    stated: float
    observed: Measured
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How far stated probabilities are from what people say.

    Attributes:
        ece: expected calibration error: mean of |stated - observed| over the pairs of `bins`,
            less what chance adds to it; as it stops at 0, it is on average still a little above a
            truth of 0.
        ece_plain: with it, as it is mostly published: above 0 even if all is right.
        log_loss: mean of `Curve.log_loss`; log 2 = 0.693 knows nothing.
        bins: of equal numbers of pairs where no pairs are equally certain, by certainty.
    """

    ece: Measured
    ece_plain: float
    log_loss: Measured
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCalibration:
    """The calibration of one score of a reward, and how good it is on pairs it did not learn from.

    Attributes:
        answers: what people were asked, such as "overall" for the total.
        pairs, prompts, human_ties: numbers of what it was fitted on.
        curve: how likely people agree.
        before: with sigmoid(margin); `after`: with curves that were each fitted on other prompts.
        log_loss_gain: before less after.
        tie_accuracy: of curves as in `after` with their tie thresholds: 1 where the answer and the
            prediction agree, 1/2 where one of them is a tie, 0 where they are opposite.
        plain_accuracy: the same if a tie is predicted for equal scores alone.
        reference: scores of a reference set in order; empty if there is none.
    """

    answers: str
    pairs: int
    prompts: int
    human_ties: int
    curve: Curve
    before: Reliability
    after: Reliability
    log_loss_gain: Measured
    tie_accuracy: Measured
    plain_accuracy: Measured
    reference: tuple[float, ...] = ()

    def win_probability(self, scores: Floats) -> Floats:
        """How likely people prefer each of `scores` (b,) to a picture of the reference set.

        The mean of P(s - r) over its scores r: in [0, 1], never falling; NaN of NaN. It compares
        pictures across prompts, which a reward that was trained on pairs of one prompt never saw.
        Raises DataError if there is no reference set.
        """
        if not self.reference:
            raise DataError("the calibration has no reference set; calibrate with one")
        reference, rows = np.array(self.reference), max(1, _CELLS // len(self.reference))
        parts = [
            self.curve.probability(scores[at : at + rows, None] - reference).mean(1)
            for at in range(0, len(scores), rows)
        ]
        return np.concatenate([np.zeros(0), *parts])


def quantiles(scores: Floats) -> tuple[float, ...]:
    """Scores (n,) of a reference set in order, at most `MOST_REFERENCES`; without those not finite.

    Of more they are the quantiles at (k + 1/2) / 1024, so that each stands for as many.
    """
    known = np.sort(scores[np.isfinite(scores)])
    if len(known) > MOST_REFERENCES:
        known = np.quantile(known, (np.arange(MOST_REFERENCES) + 0.5) / MOST_REFERENCES)
    return tuple(float(f"{score:.9g}") for score in known)  # of float32 nothing is lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose scores a calibration is of.

    Attributes:
        reward: its name, as in `config.json`.
        options: that rebuild it.
        weights: SHA-256 of names, types and values of its parameters and buffers.
        precision: types of its floating-point weights, such as "bfloat16, float32"; "" if it has
            none, or in a file that does not say.
    """

    reward: str
    options: Mapping[str, Any]
    weights: str
    precision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What is known of how far people agree with a reward.

    Attributes:
        method: of the curves: "temperature" or "isotonic".
        scores: "total" and aspects -> their calibration.
        left_out: aspect -> why it has none.
        owner: whose it is; None until it is kept with a reward.
        judgements, reference: what it was fitted on, and which pictures a score is compared with,
            by names that say nothing of the machine.
        pairs_left_out: judged pairs with a picture that has no score.
        unreadable: code of an error -> judged pictures that have no score for it.
        reference_left_out: the same of the pictures of the reference set.
        folds, draws, seed: of the cross-fitting and of the intervals over prompts.
    """

    method: Method
    scores: Mapping[str, ScoreCalibration]
    left_out: Mapping[str, str] = field(default_factory=dict)
    owner: Owner | None = None
    judgements: str = ""
    reference: str = ""
    pairs_left_out: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
    reference_left_out: Mapping[str, int] = field(default_factory=dict)
    folds: int
    draws: int
    seed: int

    def __post_init__(self) -> None:
        if "total" not in self.scores:
            raise DataError("a calibration needs that of the total; got none")

    def __repr__(self) -> str:
        return calibration_sheet(self).text()

    def _repr_html_(self) -> str:
        return calibration_sheet(self).html()

    def to_json(self) -> str:
        """The text of `calibration.json`."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False)
        return _LIST.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = FILE) -> Calibration:
        """What `to_json` wrote; DataError names what is wrong with the text of the file `where`."""
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  (costs time)

        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the text"
            raise DataError(
                f"{where} is no calibration that `beholder calibrate` wrote: {place}: "
                f"{first['msg']}"
            ) from error


def read_calibration(path: str | Path) -> Calibration:
    """The calibration in a file; DataError if it is none, or cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return Calibration.from_json(text, str(path))
