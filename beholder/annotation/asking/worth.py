"""What each pair is worth, given what was chosen before it: gains with diminishing returns."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from beholder.annotation.asking.candidates import Candidates, numbered
from beholder.annotation.asking.gains import Gain, Meetings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_LOT = 1e-12  # nats; draws lots among equals
_LEAST = 1e-200  # decays stop here, so that the order of a prompt's pairs is never lost


class Worth:
    """The worth of every pair, kept up to date while pairs are chosen.

    Args:
        candidates: the pairs.
        meetings: which checkpoints they compare.
        gain: what their answers are expected to tell.
        prompt_decay, picture_decay, balance, per_prompt: see `SelectionConfig`.
        rng: draws lots among equals.
    """

    def __init__(
        self,
        candidates: Candidates,
        meetings: Meetings,
        gain: Gain,
        *,
        prompt_decay: float,
        picture_decay: float,
        balance: float,
        per_prompt: int | None,
        rng: np.random.Generator,
    ) -> None:
        self._pairs, self._meeting, self._gain = candidates.pairs, meetings.of, gain
        self._prompt = numbered(candidates.prompts)[candidates.pairs[:, 0]]
        self._by_prompt = np.argsort(self._prompt, kind="stable")
        self._starts = np.searchsorted(
            self._prompt[self._by_prompt], np.arange(self._prompt.max() + 2)
        )
        self._prompt_decay, self._picture_decay = prompt_decay, picture_decay
        self._balance, self._per_prompt = balance, per_prompt
        self._chosen_of_prompt: Counter[int] = Counter()
        self._meeting_times = np.zeros(len(meetings.pairs))
        self._decay = np.ones(len(candidates))
        self._lots = _LOT * (1 + rng.random(len(candidates)))

    def best(self) -> int | None:
        """The pair worth most; None if none is left."""
        worth = (self._gain.nats() + self._lots) * self._decay
        if self._balance:
            worth *= ((1 + self._meeting_times) ** -self._balance)[self._meeting]
        row = int(worth.argmax())
        return row if worth[row] > 0 else None

    def take(self, row: int) -> float:
        """Choose a pair; returns the nats that its answer was expected to tell."""
        nats = float(self._gain.nats()[row])
        self._gain.take(row)
        self._meeting_times[self._meeting[row]] += 1
        self._discount_alike(row)
        return nats

    def _discount_alike(self, row: int) -> None:
        prompt = int(self._prompt[row])
        alike = self._by_prompt[self._starts[prompt] : self._starts[prompt + 1]]
        shared = (self._pairs[alike, :, None] == self._pairs[row]).sum((1, 2))
        decay = self._decay[alike] * self._prompt_decay * self._picture_decay**shared
        closed = self._decay[alike] == 0
        self._decay[alike] = np.where(closed, 0.0, np.maximum(decay, _LEAST))
        self._decay[row] = 0.0
        self._chosen_of_prompt[prompt] += 1
        if self._chosen_of_prompt[prompt] == self._per_prompt:
            self._decay[alike] = 0.0
