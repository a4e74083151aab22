"""How far scores of previews tell scores of finished pictures, within prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beholder.errors import ConfigError
from beholder.eval._bootstrap import Floats
from beholder.eval._estimate import Estimate, estimates, mean_of
from beholder.eval.correlation import mean_ranks, pearson

_NO_SPREAD = "no prompt has two pictures with different scores"


@dataclass(frozen=True, slots=True)
class StepAgreement:
    """One step's previews against the finished pictures; intervals redraw prompts.

    Attributes:
        step: its index.
        pearson, spearman: correlation of scores, mean over prompts; in [-1, 1].
        kept: at k - 1 the chance that the best picture is among the k best previews; in [0, 1].
        regret: score that is lost by taking the best preview instead of the best picture, in
            standard deviations of a prompt's pictures; 0 loses nothing.
    """

    step: int
    pearson: Estimate
    spearman: Estimate
    kept: tuple[Estimate, ...]
    regret: Estimate

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return {
            "step": self.step,
            "pearson": self.pearson.as_dict(),
            "spearman": self.spearman.as_dict(),
            "kept": [estimate.as_dict() for estimate in self.kept],
            "regret": self.regret.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class PreviewAgreement:
    """How early the reward knows which picture will be the best.

    Attributes:
        steps: what was measured, in order.
        of_steps: steps of a whole run.
        prompts, each: how many were measured, and the candidates of each.
        steps_run: steps of the denoiser, counted for each picture.
        errors: row -> why a prompt does not count.
    """

    steps: tuple[StepAgreement, ...]
    of_steps: int
    prompts: int
    each: int
    steps_run: int
    errors: Mapping[int, str]

    def trusted_step(self, level: float = 0.9, keep: int = 1) -> int | None:
        """First step from which on the best picture is among the `keep` best previews.

        That is: the lower bounds of the chance are at least `level` there and at every later step.
        None if there is no such step. Raises ConfigError if `keep` is not in 1 … each.
        """
        if not 1 <= keep <= self.each:
            raise ConfigError(f"keep is {keep}, expected 1 to {self.each} candidates")
        trusted = None
        for step in reversed(self.steps):
            low = step.kept[keep - 1].low
            if low is None or low < level:
                break
            trusted = step.step
        return trusted

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return {
            "steps": [step.as_dict() for step in self.steps],
            "of_steps": self.of_steps,
            "prompts": self.prompts,
            "each": self.each,
            "steps_run": self.steps_run,
            "errors": {str(row): why for row, why in self.errors.items()},
        }


def step_agreements(
    steps: Sequence[int], previews: Floats, finals: Floats, *, draws: int, seed: int
) -> tuple[StepAgreement, ...]:
    """Agreement of previews (steps, prompts, n) with finals (prompts, n).

    A candidate without a score at any step or the end counts nowhere.
    """
    finite = np.isfinite(finals) & np.isfinite(previews).all(0)
    finals = np.where(finite, finals, np.nan)
    spread = _pooled_spread(finals)
    return tuple(
        _step(index, np.where(finite, scores, np.nan), finals, spread, (draws, seed))
        for index, scores in zip(steps, previews, strict=True)
    )


def _step(
    index: int, previews: Floats, finals: Floats, spread: float, bootstrap: tuple[int, int]
) -> StepAgreement:
    pairs = [_known(x, y) for x, y in zip(previews, finals, strict=True)]
    each = finals.shape[1]
    columns = {
        "pearson": [pearson(x, y) if len(x) > 1 else np.nan for x, y in pairs],
        "spearman": [pearson(_ranks(x), _ranks(y)) if len(x) > 1 else np.nan for x, y in pairs],
        "regret": [_regret(x, y) / spread if len(x) > 1 else np.nan for x, y in pairs],
    } | {
        f"kept {k}": [kept_chance(x, y, k) if len(x) > 1 else np.nan for x, y in pairs]
        for k in range(1, each + 1)
    }
    ratios = {
        name: mean_of(np.array(values), np.ones(len(values)), _NO_SPREAD)
        for name, values in columns.items()
    }
    draws, seed = bootstrap
    found = estimates(ratios, draws=draws, seed=seed)
    return StepAgreement(
        step=index,
        pearson=found["pearson"],
        spearman=found["spearman"],
        kept=tuple(found[f"kept {k}"] for k in range(1, each + 1)),
        regret=found["regret"],
    )


def kept_chance(previews: Floats, finals: Floats, keep: int) -> float:
    """Chance that a best final (n,) is among the `keep` best previews (n,).

    Equal previews are kept in random order; of equal finals the best placed counts.
    """
    best = previews[finals == finals.max()].max()
    better, equal = int((previews > best).sum()), int((previews == best).sum())
    return float(np.clip((keep - better) / equal, 0, 1))


def _regret(previews: Floats, finals: Floats) -> float:
    """Final score lost by taking the best preview; equal ones are taken at random."""
    return float(finals.max() - finals[previews == previews.max()].mean())


def _pooled_spread(finals: Floats) -> float:
    """Standard deviation of a prompt's finals, pooled over prompts; NaN if there is none."""
    known = [row[np.isfinite(row)] for row in finals]
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in known if len(row) > 1)
    freedom = sum(len(row) - 1 for row in known if len(row) > 1)
    return float(np.sqrt(squares / freedom)) if squares else np.nan


def _known(previews: Floats, finals: Floats) -> tuple[Floats, Floats]:
    rows = np.isfinite(finals)
    return previews[rows], finals[rows]


def _ranks(values: Floats) -> Floats:
    return mean_ranks(np.unique(values, return_inverse=True)[1])
