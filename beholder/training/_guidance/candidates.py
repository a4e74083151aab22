"""Pictures that are tried for each prompt, and the best of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import DataError
from beholder.training._tuning.signal import Signal
from beholder.training.fit.learner import require

SEED_STRIDE = 1_000_000
"""Between the seeds of a prompt's candidates."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One picture to try: of the prompt in this row, with its number among the row's own."""

    row: int
    number: int
    prompt: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """How many pictures are tried for each prompt.

    Candidate k of prompt i has the seed `seed + i + 1_000_000 k`: a first candidate is the picture
    that one would have got without choosing, and more candidates are more beside the same ones.

    Attributes:
        each: pictures a prompt.
        seed: of the first.
        batch_size: pictures in one call of the pipeline.
    """

    each: int = 8
    seed: int = 0
    batch_size: int = 8

    def __post_init__(self) -> None:
        require("each", self.each, above=0)
        require("seed", self.seed, least=0)
        require("batch_size", self.batch_size, above=0)

    def seeds(self, row: int) -> tuple[int, ...]:
        """Seeds of the candidates of the prompt in a row."""
        return tuple(self.seed + row + SEED_STRIDE * number for number in range(self.each))

    def of(self, prompts: Sequence[str]) -> list[Candidate]:
        """All candidates, prompt by prompt; DataError if there is no prompt."""
        if not prompts:
            raise DataError("there are no prompts; give one or more")
        return [
            Candidate(row, number, prompt, seed)
            for row, prompt in enumerate(prompts)
            for number, seed in enumerate(self.seeds(row))
        ]

    def batches(self, chosen: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
        """Candidates in calls of the pipeline."""
        for at in range(0, len(chosen), self.batch_size):
            yield chosen[at : at + self.batch_size]


def scored(
    signal: Signal, pixels: Tensor, prompts: Sequence[str]
) -> tuple[Float[Tensor, " b"], dict[int, str]]:
    """What is chosen by, on the CPU, and row -> why a picture has no score; that is NaN."""
    scores = signal.reward.score(list(pixels.float().clamp(0, 1)), list(prompts))
    values = signal.chosen(scores)
    unknown = {
        row: f"non-finite: the reward gave {value} for this picture"
        for row, value in enumerate(values.tolist())
        if not math.isfinite(value)
    }
    return values.where(values.isfinite(), math.nan), unknown | dict(scores.errors)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The best picture of each of b prompts out of n candidates.

    Attributes:
        pixels: in [0, 1], on the CPU; of a prompt in `errors` its first finished candidate.
        scores: of these pictures; NaN in rows of `errors`.
        seeds: of these pictures: `driver.sample` gives them again.
        candidate_scores: of all candidates; NaN where one was rejected or has no score.
        candidate_seeds: of all candidates.
        preview_scores: of all candidates at the step where some were rejected; None if none were.
        errors: row -> why none of its candidates has a score.
        steps_run: steps of the denoiser, counted for each picture.
        steps_full: what all candidates would have taken to their ends.
    """

    pixels: Float[Tensor, "b 3 h w"]
    scores: Float[Tensor, " b"]
    seeds: tuple[int, ...]
    candidate_scores: Float[Tensor, "b n"]
    candidate_seeds: tuple[tuple[int, ...], ...]
    preview_scores: Float[Tensor, "b n"] | None
    errors: Mapping[int, str]
    steps_run: int
    steps_full: int

    @property
    def saved(self) -> float:
        """Share of the steps that was not run; below 0 if choosing cost more than it saved."""
        return 1 - self.steps_run / self.steps_full


class Choice:
    """Takes candidates in any order and keeps the best picture of each prompt."""

    def __init__(self, rows: int, each: int) -> None:
        self.scores = torch.full((rows, each), math.nan)
        self._best: dict[int, Candidate] = {}
        self._pictures: dict[int, Tensor] = {}
        self._reasons: dict[int, str] = {}

    def offer(self, batch: Sequence[Candidate], pixels: Tensor, signal: Signal) -> None:
        """Score pictures of candidates and keep those that are the best so far."""
        scores, reasons = scored(signal, pixels, [c.prompt for c in batch])
        for k, (candidate, score) in enumerate(zip(batch, scores, strict=True)):
            self.scores[candidate.row, candidate.number] = score
            if k in reasons:
                self._reasons.setdefault(candidate.row, reasons[k])
            if self._is_better(candidate):
                self._best[candidate.row] = candidate
                self._pictures[candidate.row] = pixels[k].detach().float().cpu()

    def _is_better(self, candidate: Candidate) -> bool:
        """Than the best so far; any score is better than none."""
        kept = self._best.get(candidate.row)
        if kept is None:
            return True
        new, old = (float(self.scores[c.row, c.number]) for c in (candidate, kept))
        return new > old or (math.isnan(old) and not math.isnan(new))

    def chosen(
        self, candidates: Candidates, steps_run: int, steps: int, previews: Tensor | None = None
    ) -> Chosen:
        """The best of every prompt, each of which had a candidate; `steps` are of one run."""
        rows = range(len(self.scores))
        best = [self._best[row] for row in rows]
        scores = self.scores[list(rows), [c.number for c in best]]
        return Chosen(
            pixels=torch.stack([self._pictures[row] for row in rows]),
            scores=scores,
            seeds=tuple(c.seed for c in best),
            candidate_scores=self.scores,
            candidate_seeds=tuple(candidates.seeds(row) for row in rows),
            preview_scores=previews,
            errors={row: self._reasons[row] for row in rows if scores[row].isnan()},
            steps_run=steps_run,
            steps_full=self.scores.numel() * steps,
        )
