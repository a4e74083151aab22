import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from beholder.calibration import Curve
from beholder.errors import BeholderError
from beholder.training._tuning.pairs import Pairs, Rule
from beholder.training._tuning.pairs_online import (
    SampledPairs,
    extremes,
    repeated,
    sample_groups,
)
from beholder.training._tuning.signal import Signal
from beholder.training.pipeline import Driver, Sampled, Sampling

SAMPLING = Sampling()
GENERATOR = torch.Generator()


class Numbered(Driver):
    """Gives its pictures numbers as latents, and keeps how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], list[int]]] = []
        self.is_base = False

    @override
    def sample(self, prompts: Sequence[str], *_: Any, **asked: Any) -> Sampled:
        assert not torch.is_grad_enabled()
        self.asked.append((list(prompts), list(asked["seeds"])))
        numbers = torch.arange(float(len(prompts))) + (100 if self.is_base else 0)
        return Sampled(torch.zeros(len(prompts), 3, 2, 2), numbers[:, None])

    @override
    @contextmanager
    def reference(self) -> Iterator[None]:
        self.is_base = True
        yield
        self.is_base = False


class Told(Signal):
    """Gives the scores that it was told, batch after batch."""

    def __init__(self, *batches: list[float]) -> None:
        self.batches = iter(batches)
        self.prompts: Sequence[str] = ()

    @override
    def labels(self, pixels: Tensor, prompts: Sequence[str], generator: Any = None) -> Tensor:
        self.prompts = prompts
        return torch.tensor(next(self.batches))


def sampled(signal: Signal, driver: Driver | None = None, **options: Any) -> SampledPairs:
    curve = Curve(temperature=options.pop("temperature", 1.0))
    given: dict[str, Any] = {"candidates": 3, "curve": options.pop("curve", curve)}
    rule = Rule(aspect="overall", least=0.6, is_soft=options.pop("is_soft", False))
    return SampledPairs(driver or Numbered(), SAMPLING, signal, rule=rule, **given | options)


def pairs(online: SampledPairs, *prompts: str) -> Pairs | None:
    return online.pairs(prompts, range(len(prompts)), GENERATOR)[0]


def test_the_best_and_the_worst_of_a_group_with_their_log_odds() -> None:
    found = extremes(torch.tensor([[1.0, 3.0, 2.0], [0.5, -0.5, 0.0]]), Curve(temperature=2.0))
    assert (found.best.tolist(), found.worst.tolist()) == ([1, 0], [0, 1])
    assert found.p.tolist() == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-0.5))])


def test_scores_that_are_not_finite_are_neither_best_nor_worst() -> None:
    nan, inf = math.nan, math.inf
    scores = torch.tensor([[nan, 2.0, inf, 1.0], [-inf, 2.0, nan, nan], [nan] * 4, [5.0] * 4])
    found = extremes(scores, Curve())
    assert (int(found.best[0]), int(found.worst[0])) == (1, 3)
    assert found.p.tolist() == pytest.approx([1 / (1 + math.exp(-1)), 0.5, 0.5, 0.5])


def test_pairs_are_the_extremes_of_their_own_prompt_and_unsure_ones_are_left_out() -> None:
    signal = Told([0.0, 2.0, 1.0, 0.3, 0.1, 0.2, 5.0, 5.0, 1.0])
    found = pairs(sampled(signal), "cat", "dog", "fox")
    assert found is not None
    assert list(found.prompts) == ["cat", "fox"]  # a margin of 0.2 has a probability of 0.55
    assert (found.winners.tolist(), found.losers.tolist()) == ([[1.0], [6.0]], [[0.0], [8.0]])
    assert found.p.tolist() == [1, 1]
    assert signal.prompts == ["cat"] * 3 + ["dog"] * 3 + ["fox"] * 3


def test_soft_pairs_keep_their_probability_which_the_temperature_sets() -> None:
    signal = Told([0.0, 2.0, 1.0])
    found = pairs(sampled(signal, temperature=4.0, is_soft=True), "cat")
    assert found is not None
    assert found.p.tolist() == pytest.approx([1 / (1 + math.exp(-0.5))])


def test_a_pair_that_the_curve_calls_a_tie_is_left_out_however_little_is_asked() -> None:
    curve = Curve(knots=(0.0, 1.0, 3.0), levels=(0.5, 0.7, 0.9), tie_threshold=0.4)
    scores = [0.0, 0.5, 1.0, 0.0, 0.5, 2.0]  # margins of 1 and 2: 0.7 is a tie, 0.8 is none
    found = pairs(sampled(Told(scores), curve=curve, is_soft=True), "cat", "dog")
    assert found is not None
    assert list(found.prompts) == ["dog"]
    assert found.p.tolist() == pytest.approx([0.8])


def test_the_base_pipeline_samples_if_it_is_asked_to() -> None:
    found = pairs(sampled(Told([0.0, 2.0, 1.0]), is_base=True), "cat")
    assert found is not None
    assert found.winners.tolist() == [[101.0]]


def test_after_20_batches_without_a_pair_the_run_says_how_sure_it_was() -> None:
    unsure = [[0.0, 0.1, 0.2]] * 19
    online = sampled(Told(*unsure, [0.0, 0.3, 0.0]))
    assert [pairs(online, "cat") for _ in unsure] == [None] * 19
    with pytest.raises(BeholderError, match=r"highest probability was 0\.574, at least 0\.6"):
        pairs(online, "cat")


def test_once_there_was_a_pair_batches_without_any_are_no_fault() -> None:
    online = sampled(Told(*[[0.0] * 3] * 19, [0.0, 2.0, 1.0], *[[0.0] * 3] * 30))
    found = [pairs(online, "cat") is not None for _ in range(50)]
    assert found == [k == 19 for k in range(50)]


@pytest.mark.parametrize("temperature", [1.0, 1e9])
def test_scores_are_logged_whether_a_pair_is_kept_or_not(temperature: float) -> None:
    online = sampled(Told([0.0, 2.0, math.nan]), temperature=temperature)
    _, logs = online.pairs(["cat"], [1], GENERATOR)
    assert (logs["reward/mean"], logs["reward/std"], logs["reward/failed"]) == (1, 1, 1)


def test_a_group_depends_on_its_own_seed_and_on_no_other_prompt() -> None:
    driver = Numbered()
    sample_groups(driver, SAMPLING, ["cat", "dog"], [7, 8], size=3)
    sample_groups(driver, SAMPLING, ["dog"], [8], size=3)
    (prompts, seeds), (_, alone) = driver.asked
    assert prompts == repeated(["cat", "dog"], 3) == ["cat"] * 3 + ["dog"] * 3
    assert seeds[3:] == alone
    assert len(set(seeds)) == 6
