"""What the answer to each pair is expected to tell, in nats, while a batch is put together."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from beholder.annotation.asking.candidates import Candidates, numbered
from beholder.annotation.asking.information import disagreement, order_information, sigmoid
from beholder.annotation.asking.strengths import Strengths

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_SMALLEST = 1e-300  # rewards that agree to the last bit have no spread to divide by


class Meetings:
    """Which two checkpoints each pair compares.

    Attributes:
        count: checkpoints in all.
        checkpoints: of each picture, by number.
        pairs: (k, 2) distinct numbers of two checkpoints, the lower first.
        of: pair of pictures -> row of `pairs`.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.checkpoints = numbered(candidates.checkpoints)
        both = np.sort(self.checkpoints[candidates.pairs], axis=1)
        self.count = int(self.checkpoints.max()) + 1
        names, self.of = np.unique(both[:, 0] * self.count + both[:, 1], return_inverse=True)
        self.pairs = np.stack(np.divmod(names, self.count), axis=1)


class Gain(ABC):
    """Expected information, lessened by what the answers to pairs taken before will tell."""

    @abstractmethod
    def nats(self) -> Floats:
        """Of each pair, now."""

    @abstractmethod
    def take(self, row: int) -> None:
        """Account for the answer to one more pair."""


class FixedGain(Gain):
    """Information of which no pair tells about another, such as the entropy of its answer."""

    def __init__(self, nats: Floats) -> None:
        self._nats = nats

    @override
    def nats(self) -> Floats:
        return self._nats

    @override
    def take(self, row: int) -> None:
        pass


class DisagreementGain(Gain):
    """What an answer tells about which of several rewards is right.

    An answer also tells about pairs that the rewards see alike. With the margins as
    d = mean + D'z, z ~ Normal(0, I), where D (rewards, pairs) holds the deviations over the square
    root of their number, an answer has Fisher information p (1 - p) about its d. So z is updated
    in closed form, and a pair is worth its mutual information times the share of its variance that
    is left. (Batches that ignore this ask the same thing many times: Kirsch, van Amersfoort & Gal,
    BatchBALD, NeurIPS 2019.)

    Args:
        logits: (rewards, pairs), the margins over each reward's temperature.
    """

    def __init__(self, logits: Floats) -> None:
        p = sigmoid(logits)
        self._weight = p.mean(0) * (1 - p.mean(0))
        self._deviation = (logits - logits.mean(0)) / len(logits) ** 0.5
        self._covariance = np.eye(len(logits))
        self._variance = np.asarray((self._deviation**2).sum(0) + _SMALLEST)
        self._nats_per_variance = disagreement(p) / self._variance

    @override
    def nats(self) -> Floats:
        return np.asarray(self._nats_per_variance * self._variance)

    @override
    def take(self, row: int) -> None:
        reach = self._covariance @ self._deviation[:, row]
        weight = self._weight[row]
        share = weight / (1 + weight * (self._deviation[:, row] @ reach))
        self._covariance -= share * np.outer(reach, reach)
        self._variance -= share * (reach @ self._deviation) ** 2
        np.maximum(self._variance, 0.0, out=self._variance)


class RankingGain(Gain):
    """What an answer tells about which of two checkpoints is better; all their pairs alike."""

    def __init__(self, meetings: Meetings, belief: Strengths) -> None:
        self._meetings = meetings
        self._belief = belief
        self._nats = order_information(*belief.margins(meetings.pairs))

    @override
    def nats(self) -> Floats:
        return np.asarray(self._nats[self._meetings.of])

    @override
    def take(self, row: int) -> None:
        i, j = self._meetings.pairs[self._meetings.of[row]].tolist()
        if i != j:
            self._belief = self._belief.after(i, j)
            self._nats = order_information(*self._belief.margins(self._meetings.pairs))
