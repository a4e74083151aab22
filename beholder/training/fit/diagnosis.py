"""What ails a training run, said while it runs: stuck, exploding, turned round, overfitted."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from beholder.training.judged.held_out import HeldOut, held_out_accuracy

_LOG = logging.getLogger(__name__)
Numbers = Mapping[str, Tensor | float]

_LEAST_STEPS = 10  # a stretch of the run is judged by no fewer
_AT_CHANCE = 0.01  # share of the chance loss by which a loss may differ and still be called chance
_NEAR_CHANCE = 0.05  # the same where the held-out loss is no better than chance
_FALLS = 0.95  # times the loss of the stretch before, or less
_SOLVED = 0.1  # of the chance loss; below it a gradient may well vanish
_LEFT = 0.8  # of the chance loss; a stretch below it has learned something
_EXPLODED = 1.5  # times the higher of chance and the lowest loss so far
_NO_GRADIENT = 1e-7  # what rounding leaves of a gradient that is 0
_HARDLY_MOVED = 1e-3  # of the weights' own size
_MOVED_FAR = 10.0
_SMALL_MARGIN = 0.1  # a loss of such margins is within 0.2 % of chance, whatever their order
_ALL_TIES = 0.9
_LEARNED = 0.7  # training accuracy of a reward that learned something
_BLIND = 0.6  # and of one that cannot tell pictures apart, at most
_SAMPLE = 1000  # entries of each weight that are watched
_TELLING = 0.4  # width of an interval that says something, of some 50 pairs
_FAR_OFF = 1.5  # times the loss of each rating's mean: scores that are nowhere near the ratings
_SKIPPED = 0.2  # of a stretch's steps; a scale that starts too high soon finds its place


class Diagnosis:
    """Watches losses, gradients and held-out accuracy, and says in words what is wrong and why.

    A finding is logged as a warning when it is made and taken back where it no longer holds. Read
    are train/loss, train/gradient_norm and train/learning_rate, and where a task gives them
    train/accuracy, train/margin_std (the spread of the pairs' margins), train/tie_share,
    train/chance (the loss of the same batch where all scores are equal), train/skipped (fp16 steps
    that moved nothing), eval/accuracy, of each aspect too, eval/loss and eval/chance.

    Args:
        chance: the loss where all scores are equal, ln 2 for certain pairs; stands in for
            train/chance and eval/chance. None: it is not known, and what needs it is not judged.
        trained: whether the run begins with weights that were trained on preferences before. Only
            then is it a fault if they contradict people from the start: new weights may well.
        independent: `independent_pairs` of what is held out; None takes those of one aspect for so.
    """

    def __init__(
        self, chance: float | None, *, trained: bool = False, independent: float | None = None
    ) -> None:
        self._chance = chance
        self._trained = trained
        self._independent = independent
        self._seen = _Seen()
        self._start: dict[str, Tensor] = {}
        self._weights: Mapping[str, Tensor] = {}

    @property
    def findings(self) -> list[str]:
        """What is wrong now, a sentence or two each."""
        return list(self._seen.found.values())

    def state(self) -> dict[str, Any]:
        """What was seen and found so far, for a checkpoint; JSON can say it."""
        return asdict(self._seen)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave; nothing is logged again."""
        self._seen = _Seen(**{**state, "stretch": _Stretch(**state["stretch"])})

    def watch(self, weights: Mapping[str, Tensor]) -> None:
        """Remember where the weights that train are now, by a sample of each.

        Of a run that goes on these must be those it began with, not those of the checkpoint.
        """
        self._weights = weights
        self._start = {name: _sample(weight) for name, weight in weights.items()}

    def step(self, step: int, logs: Numbers) -> None:
        """Take in the numbers of one optimizer step."""
        seen = self._seen
        if math.isnan(seen.first_loss):
            seen.first_loss = float(logs["train/loss"])
        seen.rate = max(seen.rate, float(logs["train/learning_rate"]))
        seen.stretch.add(logs)

    def evaluated(
        self, step: int, metrics: Mapping[str, float], counts: Mapping[str, float] | None = None
    ) -> None:
        """Judge the stretch of steps since the last evaluation, and what was held out.

        `counts` says over how many pairs a metric is the mean; without it held-out accuracy is not
        judged. Where nothing is held out there are no metrics.
        """
        stretch = self._seen.stretch
        held_out = held_out_accuracy(metrics, counts or {}, self._independent)
        chance = metrics.get("eval/chance", self._chance)
        self._seen.helps = chance is None or metrics.get("eval/loss", 0.0) < chance
        if step == 0 and held_out and self._trained:
            self._judge_start(metrics, held_out, chance)
        if stretch.steps < _LEAST_STEPS:
            return
        self._seen.stretch = _Stretch()
        if held_out:
            self._judge_held_out(step, held_out, stretch)
        self._judge_ties(stretch)
        self._judge_skips(step, stretch)
        chance = stretch.mean("train/chance", self._chance)
        if chance is not None and chance > 0:
            self._judge_stuck(step, stretch, chance)
            self._judge_explosion(step, stretch, chance)

    def moved(self) -> float:
        """How far the watched weights went since `watch`, as a share of their own size."""
        ways = [(_sample(w) - self._start[name]).norm() for name, w in self._weights.items()]
        sizes = [start.norm() for start in self._start.values()]
        size = math.hypot(*map(float, sizes))
        return math.hypot(*map(float, ways)) / size if size else math.inf

    def _judge_ties(self, stretch: _Stretch) -> None:
        share = stretch.mean("train/tie_share", 0.0) or 0.0
        self._tell(
            "ties",
            share > _ALL_TIES,
            f"{share:.0%} of the training pairs are ties, which teach a reward nothing but equal "
            "scores: look at how p_first was made from the answers",
        )

    def _judge_skips(self, step: int, stretch: _Stretch) -> None:
        share = stretch.mean("train/skipped", 0.0) or 0.0
        self._tell(
            "skipped",
            self._again("skipped", share > _SKIPPED),
            f"{share:.0%} of the last {stretch.steps} steps up to step {step} moved nothing, since "
            "their fp16 gradients were not finite: use precision=bf16 or fp32",
        )

    def _judge_stuck(self, step: int, stretch: _Stretch, chance: float) -> None:
        """The loss gets no better than chance, or has no gradient: why, as far as can be told."""
        loss = stretch.mean("train/loss", chance) or 0.0
        seen = self._seen
        least = (1 - (_AT_CHANCE if seen.helps else _NEAR_CHANCE)) * chance
        is_stuck = loss >= least and not loss < _FALLS * seen.last_loss
        is_stuck = is_stuck and (stretch.mean("train/skipped") or 0.0) <= _SKIPPED
        seen.last_loss = loss
        # While the rate still rises from 0 nothing can be expected of it.
        seen.stuck = (seen.stuck + (not stretch.is_rate_rising)) * is_stuck
        why = self._cause(stretch, chance)
        if stretch.highest_norm < _NO_GRADIENT and loss > _SOLVED * chance:
            why = _NO_GRADIENT_TEXT
        place = "stays at chance" if loss < (1 + _NEAR_CHANCE) * chance else "does not fall"
        self._tell(
            "stuck",
            bool(why),
            f"the training loss {place} ({loss:.4f}, where equal scores give {chance:.4f}; spread "
            f"of the margins {_number(stretch.mean('train/margin_std'))}, gradient norm "
            f"{_number(stretch.mean('train/gradient_norm'))}) up to step {step}: {why}",
        )

    def _cause(self, stretch: _Stretch, chance: float) -> str:
        """Why the loss does not fall though there is a gradient; "" if it is too early to say."""
        if self._seen.stuck < 2:
            return ""
        moved = self.moved()
        if moved < _HARDLY_MOVED:
            return (
                f"the learning rate is too low; at {self._seen.rate:.3g} the weights that train "
                f"have moved by {moved:.2g} of their size"
            )
        if self._seen.stuck < 3:
            return ""
        if moved > _MOVED_FAR:
            return (
                f"the learning rate, {self._seen.rate:.3g}, is too high; the weights that train "
                f"have moved by {moved:.3g} times their size"
            )
        return self._unfelt(stretch, moved, chance)

    def _unfelt(self, stretch: _Stretch, moved: float, chance: float) -> str:
        """Why the loss does not fall though the weights move as they should."""
        accuracy, margin = stretch.mean("train/accuracy"), stretch.mean("train/margin_std")
        if accuracy is None and (stretch.mean("train/loss") or 0.0) > _FAR_OFF * chance:
            return (
                "the scores are far from the level of the ratings and come no closer; raise the "
                f"learning rate, now {self._seen.rate:.3g}, set loss.scale so that scores times it "
                "spread as the ratings do, or bring the ratings near 0"
            )
        if accuracy is not None and accuracy > (_BLIND if self._seen.helps else _LEARNED):
            if margin is None or margin > _SMALL_MARGIN:
                return ""
            return (
                f"the order is learned (training accuracy {accuracy:.2f}) but the margins are too "
                "small for this loss; multiply them with loss.scale (a reward whose score is a "
                "bare cosine wants loss.scale=logit_scale)"
            )
        return (
            f"weights do move (by {moved:.2g} of their size), so the labels look random to this "
            "reward; look whether pictures, prompts and answers belong together, and whether what "
            "people judged can be seen by what trains"
        )

    def _judge_explosion(self, step: int, stretch: _Stretch, chance: float) -> None:
        """The loss leaves chance upwards, or comes back to it from below."""
        seen, loss = self._seen, stretch.mean("train/loss", chance) or 0.0
        is_back = seen.lowest_loss < _LEFT * chance and loss > (1 - _NEAR_CHANCE) * chance
        best = min(seen.first_loss, seen.lowest_loss)
        seen.lowest_loss = min(seen.lowest_loss, loss)
        self._tell(
            "exploding",
            is_back or loss > _EXPLODED * max(chance, best),
            f"the training loss rose from {best:.3g} to {loss:.3g} up to step {step} (equal scores "
            f"give {chance:.3g}): the learning rate, {seen.rate:.3g}, is too high, or the warmup "
            "too short",
        )

    def _judge_start(
        self, metrics: Mapping[str, float], held_out: HeldOut, chance: float | None
    ) -> None:
        """A reward that was trained knows better than to be wrong more often than not."""
        is_worse = chance is not None and metrics.get("eval/loss", 0.0) > chance
        self._tell(
            "turned from the start",
            is_worse and held_out.high < 0.5,
            f"before this training the reward orders {held_out} as people did: p_first looks "
            "turned round against what it was trained on (1 means that the first picture is "
            "preferred; a rank of 1 is the best)",
        )

    def _judge_held_out(self, step: int, held_out: HeldOut, stretch: _Stretch) -> None:
        learned, low, high = stretch.mean("train/accuracy") or 0.0, held_out.low, held_out.high
        told = f"training accuracy is {learned:.2f} but the reward orders {held_out} as people did"
        self._tell(
            "turned",
            self._again("turned", learned > _LEARNED and high < 0.5),
            f"{told}, at step {step}: p_first of the pairs to judge by looks turned round against "
            "that of the pairs to learn from (1 means that the first picture is preferred; a rank "
            "of 1 is the best), or the same prompts stand in both with opposite answers",
        )
        plain = self._again("overfitted", learned > max(_LEARNED, high) and low <= 0.5 <= high)
        useless = learned > _BLIND and low <= 0.5 and high - low < _TELLING and not self._seen.helps
        useless = useless and not self._seen.in_a_row["turned"]
        self._tell(
            "overfitted",
            plain or self._again("useless", useless, times=3),
            f"{told}, no better than chance, at step {step}: it learned these pairs by heart "
            "(train less of it, fewer steps, more pairs), the answers are random, or some prompts "
            "stand in both sides with opposite answers",
        )

    def _again(self, kind: str, holds: bool, times: int = 2) -> bool:
        """Whether something holds for so many evaluations in a row."""
        counts = self._seen.in_a_row
        counts[kind] = counts.get(kind, 0) + 1 if holds else 0
        return counts[kind] >= times

    def _tell(self, kind: str, holds: bool, text: str) -> None:
        """Add a finding, or take it back; the log hears of both."""
        found = self._seen.found
        if holds and kind not in found:
            found[kind] = text
            _LOG.warning("%s", text)
        elif not holds and kind in found:
            _LOG.info("no longer so: %s", found.pop(kind))


_NO_GRADIENT_TEXT = (
    "the gradient is 0, so nothing that trains can change the order of two pictures; everything "
    "that could is frozen or detached: see what `train` and `frozen` leave"
)


@dataclass(slots=True)
class _Stretch:
    """The numbers of the steps between two evaluations."""

    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)  # of finite values, as are the sums
    highest_norm: float = 0.0
    first_rate: float = math.inf
    last_rate: float = 0.0

    @property
    def is_rate_rising(self) -> bool:
        return self.last_rate > self.first_rate

    def add(self, logs: Numbers) -> None:
        values = {name: float(value) for name, value in logs.items()}
        norm, self.last_rate = values["train/gradient_norm"], values["train/learning_rate"]
        self.highest_norm = max(self.highest_norm, norm if math.isfinite(norm) else math.inf)
        self.first_rate = self.first_rate if self.steps else self.last_rate
        self.steps += 1
        for name, value in values.items():
            if math.isfinite(value):
                self.sums[name] = self.sums.get(name, 0.0) + value
                self.counts[name] = self.counts.get(name, 0) + 1

    def mean(self, name: str, otherwise: float | None = None) -> float | None:
        """The mean of the finite values; `otherwise` if there are none."""
        return self.sums[name] / self.counts[name] if name in self.sums else otherwise


@dataclass(slots=True)
class _Seen:
    """All that a diagnosis knows of a run but its weights.

    Attributes:
        stretch: since the last evaluation.
        stuck: stretches at chance, one after another.
        in_a_row: evaluations, one after another, by what held in them.
        helps: whether the newest held-out loss is better than chance.
        first_loss: of the first step.
        last_loss: mean of the stretch before.
        lowest_loss: mean of a stretch.
        rate: the highest so far.
        found: what is wrong now, by kind.
    """

    stretch: _Stretch = field(default_factory=_Stretch)
    stuck: int = 0
    in_a_row: dict[str, int] = field(default_factory=dict)
    helps: bool = False
    first_loss: float = math.nan
    last_loss: float = math.nan
    lowest_loss: float = math.inf
    rate: float = 0.0
    found: dict[str, str] = field(default_factory=dict)


def _number(value: float | None) -> str:
    return "not told" if value is None else f"{value:.2g}"


def _sample(weight: Tensor) -> Tensor:
    """Some entries of a weight, spread over it, on the CPU; of its own part where it is sharded."""
    own = getattr(weight, "to_local", lambda: weight)().detach().flatten()
    return own[:: max(1, len(own) // _SAMPLE)].float().cpu().clone()
