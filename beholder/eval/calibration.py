"""How sure a reward is: fitted on what people prefer, and measured on pairs it did not learn from.

- temperature (Guo et al., ICML 2017): P = sigmoid(margin / T); one number, so few pairs suffice.
- isotonic (Zadrozny & Elkan, KDD 2002): any P that never falls with the margin; needs many pairs.

The measures "after" are cross-fitted: prompts are cut into folds, and the pairs of each are judged
by a curve and a tie threshold that were found on the other folds. The curve that is kept is fitted
on all. Intervals redraw prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from beholder.calibration import (
    Calibration,
    Curve,
    Floats,
    Method,
    ScoreCalibration,
    certainty,
    quantiles,
)
from beholder.errors import ConfigError, DataError
from beholder.eval._calibration.isotonic import fit_isotonic
from beholder.eval._calibration.margins import Pairs, answered_pairs
from beholder.eval._calibration.margins import margins as margins
from beholder.eval._calibration.reliability import Redraws, reliability
from beholder.eval._calibration.temperature import fit_temperature as fit_temperature
from beholder.eval._calibration.temperature import refuse_chance
from beholder.eval._calibration.ties import best_tie_threshold
from beholder.eval.preference import ScoredPairs, pair_credit
from beholder.eval.preference import score_pairs as score_pairs
from beholder.tables import error_code
from beholder.types import Preference, Scores

FEWEST: Mapping[Method, int] = {"temperature": 30, "isotonic": 200}
"""Pairs below which a method is refused: its curve would be what chance made it."""

Groups = npt.NDArray[np.int64]

_DIVIDED = 1.0  # weight of the pair that keeps an isotonic P below 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How a calibration is found.

    Attributes:
        method: "temperature" or "isotonic".
        total_by: the answers that judge the total.
        folds: parts of the prompts; each is measured by curves fitted on the others.
        draws: how often prompts are redrawn for an interval.
        seed: of folds and draws.
    """

    method: Method = "temperature"
    total_by: str = "overall"
    folds: int = 5
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ConfigError(f"folds must be 2 or more, got {self.folds}")


def check_judgements(preferences: Sequence[Preference], fitting: Fitting) -> None:
    """Refuse judgements that cannot calibrate the total however well their pictures are scored.

    Raises ConfigError and DataError as `calibrate` does, before anything is scored.
    """
    _refuse_unasked(list(dict.fromkeys(a for p in preferences for a in p.p_first)), fitting)
    asked = [p.prompt for p in preferences if fitting.total_by in p.p_first]
    _refuse_few(len(asked), len(set(asked)), fitting)


def calibrate(
    judged: ScoredPairs, fitting: Fitting | None = None, *, reference: Scores | None = None
) -> Calibration:
    """The calibration of a reward's total and of every aspect that people answered.

    Args:
        judged: what people prefer, with scores; `score_pairs` makes it.
        fitting: how; None is as `Fitting` says.
        reference: scores of the pictures with which a score is compared as a win probability; None
            takes the judged pictures.

    Raises:
        ConfigError: if nobody was asked what judges the total.
        DataError: if the total cannot be calibrated, and why; an aspect is left out with the
            reason.
    """
    how = fitting or Fitting()
    _refuse_unasked(judged.answered(), how)
    scores: dict[str, ScoreCalibration] = {}
    left_out: dict[str, str] = {}
    for name in ("total", *judged.scores.aspects):
        answers = how.total_by if name == "total" else name
        try:
            pairs = answered_pairs(judged, name, answers)
            scores[name] = calibrate_pairs(pairs, how, answers=answers)
        except DataError as error:
            if name == "total":
                raise
            left_out[name] = str(error)
    found = Calibration(
        method=how.method,
        scores=scores,
        left_out=left_out,
        pairs_left_out=int(np.isnan(margins(judged, "total")).sum()),
        unreadable=_unreadable(judged),
        folds=how.folds,
        draws=how.draws,
        seed=how.seed,
    )
    return with_reference(found, judged.scores if reference is None else reference)


def with_reference(found: Calibration, compared: Scores) -> Calibration:
    """The calibration with other pictures with which a score is compared as a win probability.

    Raises DataError if none of them has a score of those that were calibrated.
    """
    missing = _without_score(compared)
    return replace(
        found,
        scores={
            name: replace(one, reference=_reference(compared, name))
            for name, one in found.scores.items()
        },
        reference=f"{len(compared) - sum(missing.values())} pictures",
        reference_left_out=missing,
    )


def _without_score(scores: Scores) -> dict[str, int]:
    """Code of an error -> how many scores of pictures are missing for it."""
    return dict(Counter(code for _, code in _failures(scores)).most_common())


def _unreadable(judged: ScoredPairs) -> dict[str, int]:
    """Code of an error -> how many judged pictures have no total for it, whatever the prompt."""
    codes = {judged.nodes[row][0]: code for row, code in _failures(judged.scores)}
    return dict(Counter(codes.values()).most_common())


def _failures(scores: Scores) -> Iterator[tuple[int, str]]:
    """Rows without a total, and the code of the error."""
    for row in np.flatnonzero(~np.isfinite(scores.total.double().numpy())).tolist():
        yield row, error_code(scores.errors.get(row, "non-finite"))


def calibrate_pairs(pairs: Pairs, how: Fitting, *, answers: str = "overall") -> ScoreCalibration:
    """The calibration of one score on its pairs, without a reference set.

    Raises DataError if there are too few pairs or prompts, or no curve fits.
    """
    _refuse_few(len(pairs), pairs.prompts, how)
    curve = fit_curve(pairs, how.method)
    held_out = _held_out(pairs, how)
    redraws = Redraws(group=pairs.group, draws=how.draws, seed=how.seed)
    plain = _judged(pairs, Curve())
    return ScoreCalibration(
        answers=answers,
        pairs=len(pairs),
        prompts=pairs.prompts,
        human_ties=int((pairs.p_first == 0.5).sum()),
        curve=curve,
        before=reliability(plain.stated, pairs.p_first, plain.losses, redraws),
        after=reliability(held_out.stated, pairs.p_first, held_out.losses, redraws),
        log_loss_gain=redraws.measured(plain.losses - held_out.losses),
        tie_accuracy=redraws.measured(_tie_credit(held_out.predicted, pairs)),
        plain_accuracy=redraws.measured(_tie_credit(pairs.margin, pairs)),
    )


def fit_curve(pairs: Pairs, method: Method) -> Curve:
    """The curve of a method on all pairs, with the tie threshold that earns the most on them.

    Raises DataError if no curve fits.
    """
    if method == "temperature":
        curve = Curve(temperature=fit_temperature(pairs.margin, pairs.p_first))
    else:
        refuse_chance(pairs.margin, pairs.p_first)
        knots, levels = fit_isotonic(pairs.margin, pairs.p_first, prior=_DIVIDED)
        curve = Curve(knots=tuple(knots.tolist()), levels=tuple(levels.tolist()))
    sure = certainty(curve.probability(pairs.margin))
    return replace(curve, tie_threshold=best_tie_threshold(sure, pairs.is_right))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What a curve says of pairs: P, log-loss, and 1, -1 or 0 for first, second or tie."""

    stated: Floats
    losses: Floats
    predicted: Floats


def _judged(pairs: Pairs, curve: Curve) -> _Judged:
    return _Judged(
        stated=curve.probability(pairs.margin),
        losses=curve.log_loss(pairs.margin, pairs.p_first),
        predicted=np.sign(curve.decided(pairs.margin) - 0.5),
    )


def _held_out(pairs: Pairs, how: Fitting) -> _Judged:
    """What curves say of pairs whose prompts they were not fitted on."""
    fold = fold_of(pairs.group, how.folds, how.seed)
    stated, losses, predicted = (np.empty(len(pairs)) for _ in range(3))
    for number in range(how.folds):
        inside = fold == number
        found = _judged(pairs.at(inside), fit_curve(pairs.at(~inside), how.method))
        stated[inside], losses[inside] = found.stated, found.losses
        predicted[inside] = found.predicted
    return _Judged(stated=stated, losses=losses, predicted=predicted)


def fold_of(group: Groups, folds: int, seed: int) -> Groups:
    """The fold of each pair: prompts in random order, dealt out one after another."""
    prompts, at = np.unique(group, return_inverse=True)
    dealt = np.empty(len(prompts), dtype=np.int64)
    dealt[np.random.default_rng(seed).permutation(len(prompts))] = np.arange(len(prompts)) % folds
    return dealt[at]


def _tie_credit(predicted: Floats, pairs: Pairs) -> Floats:
    """What each pair earns by the rule of Pick-a-Pic, a tie being predicted where it is 0."""
    return pair_credit(predicted, pairs.p_first, "pickapic", 0.0)[0]


def _refuse_unasked(answered: Sequence[str], how: Fitting) -> None:
    if how.total_by not in answered:
        raise ConfigError(
            f"nobody was asked for {how.total_by!r}, which is to judge the total; "
            f"answered: {', '.join(answered) or 'nothing'}"
        )


def _refuse_few(pairs: int, prompts: int, how: Fitting) -> None:
    fewest = FEWEST[how.method]
    if pairs < fewest:
        hint = "; the method temperature needs fewer" if pairs >= FEWEST["temperature"] else ""
        raise DataError(
            f"{pairs} answered pairs are too few for the method {how.method}, "
            f"which needs {fewest}{hint}"
        )
    if prompts < 2 * how.folds:
        raise DataError(
            f"the pairs have {prompts} prompts, too few for {how.folds} folds of at least 2; "
            "judge pairs of more prompts, or take fewer folds"
        )


def _reference(scores: Scores, name: str) -> tuple[float, ...]:
    """The reference set of a score; DataError if none of its pictures has one."""
    found = quantiles(scores.named(name).double().numpy())
    if not found:
        raise DataError(f"no picture of the reference set has a score {name!r}")
    return found
