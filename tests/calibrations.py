"""Calibrations that were not fitted, for tests of what is done with them."""

from collections.abc import Mapping, Sequence

from beholder.calibration import (
    Bin,
    Calibration,
    Curve,
    Measured,
    Reliability,
    ScoreCalibration,
)


def measured(value: float, around: float = 0.01) -> Measured:
    return Measured(value=value, low=value - around, high=value + around)


def reliability(error: float) -> Reliability:
    bins = tuple(
        Bin(stated=stated, observed=measured(stated - error, 0.05), pairs=50)
        for stated in (0.55, 0.7, 0.9)
    )
    return Reliability(
        ece=measured(error), ece_plain=error + 0.01, log_loss=measured(0.6), bins=bins
    )


def of_score(curve: Curve, reference: Sequence[float] = (0.0,)) -> ScoreCalibration:
    return ScoreCalibration(
        answers="overall",
        pairs=150,
        prompts=30,
        human_ties=10,
        curve=curve,
        before=reliability(0.1),
        after=reliability(0.01),
        log_loss_gain=measured(0.05),
        tie_accuracy=measured(0.75),
        plain_accuracy=measured(0.7),
        reference=tuple(reference),
    )


def calibration(
    curve: Curve | None = None, reference: Sequence[float] = (0.0,), **aspects: Curve
) -> Calibration:
    """Of a total, and of aspects with the same reference set."""
    curves: Mapping[str, Curve] = {"total": curve or Curve(), **aspects}
    return Calibration(
        method=curves["total"].method,
        scores={name: of_score(one, reference) for name, one in curves.items()},
        folds=5,
        draws=100,
        seed=0,
    )
