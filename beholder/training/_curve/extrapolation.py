"""What twice the data would give, from what parts of it gave; or that this cannot be told.

Two shapes with two numbers each are fitted by least squares over n, the judgements learned from:
a line over log n, and a power law of the error, 1 - y = exp(a) n**b (Hestness et al., 2017). They
agree between the measured sizes and part beyond them, so their difference is part of the
uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from jaxtyping import Float64

from beholder.eval._bootstrap import Floats, percentile_interval
from beholder.eval._features import Array

LEAST_SIZES = 3
"""Different sizes without which a line through the values says nothing about its own error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a larger number of judgements would give.

    Attributes:
        size: that number.
        now: what the shapes say of the largest measured size, the mean of the two.
        value: the same for `size`; None where it cannot be told at all.
        low, high: 95 % interval of `value`, over both shapes.
        gain, gain_low, gain_high: of `value` - `now`.
        why: the reason where `value` is None.
    """

    size: float
    now: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    why: str = ""

    def as_dict(self) -> dict[str, float | str | None]:
        """The same as plain JSON-ready values."""
        return asdict(self)

    def statement(self, unit: str) -> str:
        """One or two sentences; `unit` names what is counted, such as "pairs"."""
        if self.value is None:
            return f"What twice the data would give cannot be told: {self.why}."
        gain = f"{_range(self.gain_low, self.gain_high, '+')}"
        if _known(self.gain_low) <= 0 <= _known(self.gain_high):
            return (
                f"It cannot be told whether twice the data ({self.size:,.0f} {unit}) would help: "
                f"the change would lie within {gain}. More fractions, repeats or held-out prompts "
                "would tell."
            )
        if _known(self.gain_high) < 0:
            return (
                f"More data made it worse, and twice the data would change it by {gain}: look at "
                "the judgements that were added, and at the learning rate."
            )
        return (
            f"Twice the data ({self.size:,.0f} {unit}) would give about {self.value:.3f}, within "
            f"{_range(self.low, self.high)}: a gain of {_known(self.gain):+.3f}, within {gain}."
        )


def extrapolate(
    sizes: Sequence[float],
    values: Float64[Array, " m"],
    drawn: Float64[Array, "draws m"],
    *,
    factor: float = 2.0,
    least_error: float = 1e-6,
    seed: int = 0,
) -> Outlook:
    """What `factor` times the largest of `sizes` would give.

    Args:
        sizes: judgements that each of m runs learned from.
        values: what each reached, at most 1.
        drawn: the same with the held-out prompts redrawn, all runs together.
        factor: how much more data.
        least_error: the smallest 1 - y that the held-out data can show.
        seed: of the noise of runs.

    The interval is over three things: held-out prompts, by `drawn`; what differs from run to run
    beyond the shape, as Student's t with the residuals' scale and m - 2 degrees of freedom; and
    the shape. A little is counted twice: it is rather too wide.
    """
    size = factor * max(sizes, default=0)
    if (found := len(set(sizes))) < LEAST_SIZES:
        why = f"{found} sizes were measured, {LEAST_SIZES} are needed to see how straight they lie"
        return Outlook(size=size, why=why)
    design = _design(sizes)
    noisy = drawn + _noise(design, values, len(drawn), seed)
    ends = _design([max(sizes), size])
    now, then, change = [], [], []
    for shape in (_line, partial(_power, least_error=least_error)):
        at = np.minimum(shape(values[None], design, ends), 1.0)[0]
        many = np.minimum(shape(noisy, design, ends), 1.0)
        now.append(at[0])
        then.append((at[1], *_interval(many[:, 1])))
        change.append((at[1] - at[0], *_interval(many[:, 1] - many[:, 0])))
    value, low, high = _joined(then)
    gain, gain_low, gain_high = _joined(change)
    return Outlook(
        size=size,
        now=float(np.mean(now)),
        value=value,
        low=low,
        high=high,
        gain=gain,
        gain_low=gain_low,
        gain_high=gain_high,
    )


def _design(sizes: Sequence[float]) -> Float64[Array, "m 2"]:
    return np.stack([np.ones(len(sizes)), np.log(np.asarray(sizes, dtype=np.float64))], axis=1)


def _line(y: Float64[Array, "k m"], design: Floats, ends: Floats) -> Float64[Array, "k e"]:
    found: Floats = y @ np.linalg.pinv(design).T @ ends.T
    return found


def _power(
    y: Float64[Array, "k m"], design: Floats, ends: Floats, *, least_error: float
) -> Float64[Array, "k e"]:
    errors = np.log(np.maximum(1.0 - y, least_error))
    found: Floats = 1.0 - np.exp(np.minimum(_line(errors, design, ends), 2.0))
    return found


def _noise(design: Floats, values: Floats, draws: int, seed: int) -> Floats:
    """What another run of the same size would differ by, (draws, m)."""
    freedom = len(values) - 2
    residuals = values - _line(values[None], design, design)[0]
    scale = math.sqrt(float(residuals @ residuals) / freedom)
    random = np.random.default_rng(seed)
    noise: Floats = scale * random.standard_t(freedom, (draws, len(values)))
    return noise


def _interval(samples: Floats) -> tuple[float, float]:
    interval = percentile_interval(samples)
    return interval.low, interval.high


def _joined(shapes: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """The mean of the shapes' values, and an interval that holds those of both."""
    values, lows, highs = zip(*shapes, strict=True)
    return float(np.mean(values)), float(min(lows)), float(max(highs))


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _range(low: float | None, high: float | None, sign: str = "") -> str:
    return f"[{_known(low):{sign}.3f}, {_known(high):{sign}.3f}]"
