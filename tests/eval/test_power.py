"""Power estimates against the noncentral t distribution, simulated tests and hand-made tables."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from beholder.errors import ConfigError, DataError
from beholder.eval.power import (
    Certainty,
    Gap,
    checkpoint_power,
    evaluation_power,
    needed,
    power_of,
    prompts_needed,
    prompts_within,
    smallest_difference,
)
from beholder.eval.protocols import pair_accuracy

NAN = math.nan


def rejections(difference: float, prompts: int, alpha: float, tries: int = 4000) -> float:
    """The share of paired t-tests on normal differences of deviation 1 that reject."""
    generator = np.random.default_rng(prompts)
    gaps = generator.normal(difference, 1, (tries, prompts))
    t = gaps.mean(1) / gaps.std(1, ddof=1) * math.sqrt(prompts)
    return float((np.abs(t) > stats.t.ppf(1 - alpha / 2, prompts - 1)).mean())


@pytest.mark.parametrize("difference", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("prompts", [10, 30, 100, 300])
def test_the_power_curve_is_that_of_simulated_tests(difference: float, prompts: int) -> None:
    expected = power_of(difference, 1.0, prompts)
    error = math.sqrt(expected * (1 - expected) / 4000)
    assert rejections(difference, prompts, 0.05) == pytest.approx(expected, abs=3 * error + 0.005)


@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.05, 0.95), (0.01, 0.9)])
@pytest.mark.parametrize("effect", [0.1, 0.3, 0.8])
def test_the_needed_prompts_have_the_wanted_power(
    alpha: float, power: float, effect: float
) -> None:
    count = prompts_needed(effect, 1.0, Certainty(alpha=alpha, power=power))
    assert count is not None

    def exact(n: int) -> float:
        critical = stats.t.ppf(1 - alpha / 2, n - 1)
        away = stats.nct(n - 1, effect * math.sqrt(n))
        return float(away.sf(critical) + away.cdf(-critical))

    assert exact(count) >= power > exact(count - 1)
    expected = exact(count)  # a little above the wanted, for prompts are whole
    error = math.sqrt(expected * (1 - expected) / 4000)
    assert rejections(effect, count, alpha) == pytest.approx(expected, abs=3 * error)


def test_needed_prompts_by_hand() -> None:
    # (1.95996 + 0.84162)^2 (1 / 0.5)^2 + 1.95996^2 / 2 = 31.40 + 1.92
    assert prompts_needed(0.5, 1.0) == 34
    assert prompts_needed(-0.5, 1.0) == 34
    assert prompts_needed(1.0, 0.0) == 2
    # 1.95996^2 0.25 / 0.05^2 + 1.92 = 384.1 + 1.9, the pollster's 384
    assert prompts_within(0.5, 0.05) == 387


def test_the_smallest_difference_is_told_by_exactly_these_prompts() -> None:
    for prompts in (12, 50, 1000):
        smallest = smallest_difference(2.0, prompts)
        assert prompts_needed(smallest, 2.0) == prompts
        assert power_of(smallest, 2.0, prompts) == pytest.approx(0.8, abs=1e-6)
    assert smallest_difference(1.0, 1) != smallest_difference(1.0, 1)  # nothing is known
    assert smallest_difference(1.0, 2) > 9


def test_no_difference_needs_no_number_of_prompts() -> None:
    assert prompts_needed(0.0, 1.0) is None
    assert prompts_needed(NAN, 1.0) is None
    assert power_of(0.0, 1.0, 50) == pytest.approx(0.05)
    assert power_of(0.0, 0.0, 50) == 0.05
    assert power_of(0.3, 0.0, 50) == 1
    assert math.isnan(power_of(0.3, 1.0, 1))


def table(**scores: list[float]) -> dict[str, list[Any]]:
    """Checkpoint -> its score on each prompt."""
    rows = [(name, k, value) for name, values in scores.items() for k, value in enumerate(values)]
    return {
        "model": [name for name, _, _ in rows],
        "prompt": [k for _, k, _ in rows],
        "s": [value for _, _, value in rows],
    }


def test_checkpoints_are_compared_on_the_prompts_of_both() -> None:
    columns = table(a=[1.0, 2.0, 3.0, 9.0], b=[0.0, 2.0, 1.0, NAN])
    (found,) = checkpoint_power(columns, score="s")
    assert (found.first, found.second, found.prompts) == ("a", "b", 3)
    assert (found.difference, found.deviation) == (1.0, 1.0)
    assert found.needed == prompts_needed(1.0, 1.0)
    assert found.low <= 1 <= found.high


def test_pairing_by_prompt_is_what_saves_prompts() -> None:
    generator = np.random.default_rng(5)
    hard = generator.normal(0, 5, 200)  # prompts differ far more than checkpoints do
    a = hard + generator.normal(0.3, 1, 200)
    b = hard + generator.normal(0.0, 1, 200)
    (found,) = checkpoint_power(table(a=a.tolist(), b=b.tolist()), score="s")
    assert found.needed == prompts_needed(float((a - b).mean()), float((a - b).std(ddof=1)))
    unpaired = prompts_needed(float((a - b).mean()), float(math.sqrt(2) * a.std()))
    assert found.needed is not None
    assert unpaired is not None
    assert unpaired > 10 * found.needed


def test_an_estimate_from_a_pilot_foretells_simulated_tests() -> None:
    generator = np.random.default_rng(6)
    pilot = generator.normal(0.25, 1, 5000)
    (found,) = checkpoint_power(table(a=pilot.tolist(), b=[0.0] * 5000), score="s", draws=50)
    assert found.needed is not None
    # the pilot's own estimate of 0.25 is off by 1.4 % of a deviation, some 5 % of the effect
    assert rejections(0.25, found.needed, 0.05) == pytest.approx(0.8, abs=0.07)


def test_an_open_question_has_no_upper_bound() -> None:
    (found,) = checkpoint_power(
        table(a=[0.0, 1.0, 0.0, 1.0, 1.0], b=[1.0, 0.0, 0.5, 0.0, 0.5]), score="s"
    )
    assert found.low < 0 < found.high
    assert found.needed_high is None
    assert found.needed_low is not None
    assert "do not even tell which is better" in found.words


def test_the_interval_of_a_clear_difference_bounds_the_prompts() -> None:
    gap = Gap(
        first="a", second="b", of="s", difference=0.5, low=0.4, high=0.6, deviation=1.0, prompts=96
    )
    found = needed(gap)
    bounds = [prompts_needed(d, 1.0) for d in (0.6, 0.5, 0.4)]
    assert [found.needed_low, found.needed, found.needed_high] == bounds
    assert "96 are enough" in found.words


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"a": [1.0, 2.0], "b": [1.0, 2.0]}, "do not differ on average over 2 prompts; no number"),
        ({"a": [1.0], "b": [2.0]}, "share 1 prompts with a score; two or more are needed"),
        ({"a": [1.0, NAN], "b": [NAN, 2.0]}, "share 0 prompts with a score"),
        ({"a": [1.0, 3.0, 5.0, 4.0], "b": [0.0, 3.0, 4.5, 4.0]}, "4 are too few"),
    ],
)
def test_what_cannot_be_said_is_said_in_words(scores: dict[str, list[float]], words: str) -> None:
    (found,) = checkpoint_power(table(**scores), score="s")
    assert words in found.words


def record(**aspect: float | None) -> dict[str, Any]:
    gap = {"first": "r", "second": "q", "aspect": "overall", "prompts": 400, "difference": 0.03,
           "low": 0.01, "high": 0.05, "deviation": 0.3}  # fmt: skip
    return {
        "aspects": {"overall": {"accuracy": 0.6, "prompts": 400, **aspect}},
        "differences": [gap],
    }


def test_an_evaluation_says_how_many_prompts_fix_it_and_tell_its_differences() -> None:
    (width,), (gap,) = evaluation_power(record(deviation=0.5), within=0.02)
    assert width.within_now == pytest.approx(1.96 * 0.5 / 20, abs=1e-4)
    assert width.needed == prompts_within(0.5, 0.02)
    assert (gap.of, gap.needed) == ("overall", prompts_needed(0.03, 0.3))


def test_an_unknown_deviation_is_unknown_and_an_old_record_is_refused() -> None:
    (width,), _ = evaluation_power(record(deviation=None))
    assert width.needed is None
    with pytest.raises(DataError, match="evaluate it again"):
        evaluation_power(record())


def test_an_accuracy_on_the_needed_prompts_has_an_interval_of_the_wanted_width() -> None:
    generator = np.random.default_rng(7)

    def accuracy(prompts: int) -> Any:
        skill = generator.beta(2, 1, prompts)  # prompts of four pairs, some harder than others
        right = generator.random((prompts, 4)) < skill[:, None]
        names = np.repeat(np.arange(prompts), 4).tolist()
        return pair_accuracy(np.where(right, 1.0, -1.0).ravel(), np.ones(4 * prompts), names)

    count = prompts_within(accuracy(2000).deviation, 0.03)
    assert count is not None
    found = accuracy(count)
    assert (found.high - found.low) / 2 == pytest.approx(0.03, rel=0.12)


def test_senseless_wishes_are_refused() -> None:
    for wish in ({"alpha": 0.0}, {"power": 1.0}, {"alpha": 0.5, "power": 0.4}):
        with pytest.raises(ConfigError, match="0 < alpha < power < 1"):
            Certainty(**wish)
    with pytest.raises(ConfigError, match="half width above 0"):
        prompts_within(0.5, 0.0)
