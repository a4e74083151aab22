"""Previews: the picture that a run is heading for, scored at several of its steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._guidance.agreement import PreviewAgreement, step_agreements
from beholder.training._guidance.candidates import Candidate, Candidates, scored
from beholder.training._guidance.metering import Progress, metered
from beholder.training._tuning.signal import Signal
from beholder.training.fit.learner import require
from beholder.training.pipeline import Driver, Sampling, Step

_STEPS = 8
_DRAWS = 2000


@torch.no_grad()
def preview_agreement(
    driver: Driver,
    signal: Signal,
    prompts: Sequence[str],
    sampling: Sampling,
    candidates: Candidates,
    *,
    steps: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> PreviewAgreement:
    """How well scores of x_0 at each step tell which picture will be the best.

    It tells which `at` and `keep` of `early_rejection` this pipeline and reward allow.

    Args:
        driver: whose previews.
        signal: what scores them.
        prompts: some 50 or more, for useful intervals.
        sampling: of the run.
        candidates: two or more each.
        steps: indices to look at; None takes eight from first to last.
        progress: counts up to prompts · each · sampling.steps.

    Raises:
        ConfigError: if a step is not one of the run's, or there is one candidate only.
        DataError: if there is no prompt.
    """
    require("each", candidates.each, least=2)
    chosen = _steps(sampling, steps)
    tried = candidates.of(prompts)
    scores = torch.full((len(chosen) + 1, len(prompts), candidates.each), torch.nan)
    reasons: dict[int, str] = {}
    with metered(driver.pipe.scheduler, progress) as meter:
        for batch in candidates.batches(tried):
            rows, numbers = [c.row for c in batch], [c.number for c in batch]
            scores[:, rows, numbers], why = _scores(driver, signal, batch, sampling, chosen)
            reasons |= {rows[k]: text for k, text in why.items()}
    table = scores.double().numpy()
    known = np.isfinite(table).all(0).sum(1) > 1
    return PreviewAgreement(
        steps=step_agreements(chosen, table[:-1], table[-1], draws=_DRAWS, seed=candidates.seed),
        of_steps=sampling.steps,
        prompts=int(known.sum()),
        each=candidates.each,
        steps_run=meter.steps,
        errors={row: reasons[row] for row in np.flatnonzero(~known).tolist()},
    )


def _steps(sampling: Sampling, steps: Sequence[int] | None) -> list[int]:
    last = sampling.steps - 1
    if steps is None:
        return sorted({round(last * k / (_STEPS - 1)) for k in range(_STEPS)})
    if not steps or not all(0 <= step <= last for step in steps):
        raise ConfigError(f"steps are {list(steps)}, expected one or more of 0 to {last}")
    return sorted(set(steps))


def _scores(
    driver: Driver,
    signal: Signal,
    batch: Sequence[Candidate],
    sampling: Sampling,
    steps: Sequence[int],
) -> tuple[Tensor, dict[int, str]]:
    """Scores (steps + 1, b) of the previews and the pictures; why one has none."""
    clean: dict[int, Tensor] = {}

    def note(step: Step) -> None:
        if step.index in steps:
            clean[step.index] = step.x0

    prompts, seeds = [c.prompt for c in batch], [c.seed for c in batch]
    finished = driver.sample(prompts, sampling, seeds=seeds, on_step=note).pixels
    rows: list[Tensor] = []
    reasons: dict[int, str] = {}
    for step in steps:  # decoded one by one: a whole run of previews would not fit
        values, why = scored(signal, driver.decode(clean[step], sampling), prompts)
        rows.append(values)
        reasons |= why
    values, why = scored(signal, finished, prompts)
    return torch.stack([*rows, values]), reasons | why
