"""What an answer to a pair is expected to tell, in nats, and the temperature of a reward.

An answer is 1 (the first picture is better) or 0, with probability p = sigma(margin / temperature).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TINY = 1e-300  # stands in for 0 in a logarithm; 0 log 0 is 0
_FAR = 8.0  # standard deviations on either side that are integrated over
_HALVINGS = 60
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def sigmoid(margins: Floats) -> Floats:
    """1 / (1 + exp(-margin)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(margins / 2)), dtype=np.float64)


def entropy(p: Floats) -> Floats:
    """H(p) = -p log p - (1 - p) log(1 - p) in nats, from 0 (certain) to log 2."""
    q = 1 - p
    return np.asarray(
        -p * np.log(np.maximum(p, _TINY)) - q * np.log(np.maximum(q, _TINY)), dtype=np.float64
    )


def disagreement(p: Floats) -> Floats:
    """H(mean p) - mean H(p) of each column: what the answer tells about which row is right.

    The mutual information of BALD (Houlsby, Huszar, Ghahramani & Lengyel, 2011, eq. 2) with the
    rows as equally likely models; 0 where they agree, log 2 where one half is certain of the
    opposite of the other.
    """
    told = entropy(p.mean(0)) - entropy(p).mean(0)
    return np.asarray(np.maximum(told, 0.0), dtype=np.float64)


def order_information(mean: Floats, variance: Floats) -> Floats:
    """I(answer; sign of d) for margins d ~ Normal(mean, variance) and p = sigma(d).

    What an answer is expected to tell about which of two is the better one: unlike information
    about d itself it vanishes once their order is known, however uncertain their distance is.
    Each sign is integrated by Gauss-Legendre quadrature on its own side of d = 0.
    """
    deviation = np.maximum(np.sqrt(variance), 1e-9)
    split = np.clip(-mean / deviation, -_FAR, _FAR)
    below, p_below = _side(mean, deviation, -_FAR, split)
    above, p_above = _side(mean, deviation, split, _FAR)
    mass = below + above
    first = entropy((p_below + p_above) / mass)
    ordered = sum(
        m / mass * entropy(p / np.maximum(m, _TINY))
        for m, p in ((below, p_below), (above, p_above))
    )
    return np.asarray(np.maximum(first - ordered, 0.0), dtype=np.float64)


def expected_weight(mean: Floats, variance: Floats) -> Floats:
    """E[p (1 - p)] for d ~ Normal(mean, variance): the Fisher information of an answer about d."""
    z = _FAR * _NODES
    density = _WEIGHTS * np.exp(-(z**2) / 2)
    p = sigmoid(mean[..., None] + np.sqrt(variance)[..., None] * z)
    return np.asarray((p * (1 - p)) @ (density / density.sum()), dtype=np.float64)


def usual_temperature(margins: Floats) -> float:
    """The root mean square of the margins, 1 if all are 0: what they are without judgements."""
    return float(np.sqrt(np.mean(margins**2))) or 1.0 if len(margins) else 1.0


def temperature(margins: Floats, p_first: Floats, usual: float) -> float:
    """The temperature under which the margins explain judgements `p_first` best.

    With b = 1 / temperature the minimum of the convex

        sum_e -p_e log sigma(b m_e) - (1 - p_e) log sigma(-b m_e)  +  usual b - log b,

    where the last two terms, worth about one judgement, have their minimum at b = 1 / usual. So
    without judgements it is `usual`, and it stays finite if every judgement agrees.
    """

    def slope(b: float) -> float:
        return float(((sigmoid(b * margins) - p_first) * margins).sum()) + usual - 1 / b

    low, high = -np.log(usual) - 20, -np.log(usual) + 20
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(np.exp(middle)) > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))


def _side(
    mean: Floats, deviation: Floats, low: Floats | float, high: Floats | float
) -> tuple[Floats, Floats]:
    """Mass of z ~ Normal(0, 1) between two ends, and the integral of p there; not normalised."""
    half = np.asarray(high - low)[..., None] / 2
    z = np.asarray(low)[..., None] + half * (_NODES + 1)
    density = half * _WEIGHTS * np.exp(-(z**2) / 2)
    p = sigmoid(mean[..., None] + deviation[..., None] * z)
    return density.sum(-1), (density * p).sum(-1)
