from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest, norm

from beholder.training.judged.held_out import held_out_accuracy, independent_pairs, wilson
from beholder.types import Preference

ASPECTS = ("color", "shape", "light", "overall")


def ranked(prompt: str, pictures: int, aspects: int = 1, repeats: int = 1) -> list[Preference]:
    """All pairs of a ranking in which later pictures are better, the same in every aspect."""
    return [
        Preference(
            key=f"{prompt} {one} {two} {again}",
            prompt=prompt,
            first=f"{prompt}-{one}.png",
            second=f"{prompt}-{two}.png",
            p_first=dict.fromkeys(ASPECTS[:aspects], 0.0),
        )
        for one, two in combinations(range(pictures), 2)
        for again in range(repeats)
    ]


@pytest.mark.parametrize(("right", "count"), [(7, 10), (0, 12), (150, 400)])
def test_the_interval_of_a_share_is_scipys(right: int, count: int) -> None:
    level = 2 * norm.cdf(3) - 1
    theirs = binomtest(right, count).proportion_ci(level, method="wilson")
    assert wilson(right / count, count, 3) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("pictures", [2, 3, 4, 9])
@pytest.mark.parametrize("aspects", [1, 4])
def test_pairs_of_rankings_count_as_the_variance_of_kendalls_tau_says(
    pictures: int, aspects: int
) -> None:
    """Var tau = 2 (2k + 5) / 9k (k - 1), and accuracy is (1 + tau) / 2; aspects add nothing."""
    held_out = [pair for k in range(7) for pair in ranked(str(k), pictures, aspects)]
    variance = 2 * (2 * pictures + 5) / (9 * pictures * (pictures - 1)) / 4
    found = independent_pairs(held_out, ASPECTS[:aspects])
    assert found == pytest.approx(7 * 0.25 / variance)


def test_pairs_apart_count_each_and_the_same_pair_counts_once() -> None:
    apart = [pair for k in range(5) for pair in ranked(str(k), 2)]
    assert independent_pairs(apart, ASPECTS) == pytest.approx(5)
    assert independent_pairs(ranked("one", 2, repeats=9), ASPECTS) == pytest.approx(1)


def test_ties_and_aspects_that_are_not_learned_count_nothing() -> None:
    tie = Preference(key="", prompt="", first="a", second="b", p_first={"color": 0.5, "shape": 1.0})
    assert independent_pairs([tie], ["color"]) == 0
    assert independent_pairs([tie], ["color", "shape"]) == pytest.approx(1)


def test_answers_of_several_aspects_are_not_taken_for_more_pairs() -> None:
    metrics = {"eval/accuracy": 0.25}
    counts = {"eval/accuracy": 400.0, "eval/accuracy_a": 100.0, "eval/accuracy_b": 300.0}
    found = held_out_accuracy(metrics, counts, None)
    assert found is not None
    assert (found.low, found.high) == wilson(0.25, 300, 3)
    told = held_out_accuracy(metrics, counts, 50.0)
    assert told is not None
    assert (told.low, told.high) == wilson(0.25, 50, 3)
    assert str(told).startswith("0.25 of 400 held-out pairs (0.")
    assert held_out_accuracy(metrics, {"eval/accuracy": 0.0}, None) is None


@pytest.mark.parametrize(("prompts", "pictures"), [(20, 4), (10, 9), (40, 2), (5, 4)])
def test_chance_alone_seldom_leaves_the_interval(prompts: int, pictures: int) -> None:
    """A reward whose order is random, the same in four aspects: at most 1 in 200 looks turned.

    Answers taken for independent would look so in 1 of 25 at least.
    """
    random = np.random.default_rng(0)
    held_out = [p for k in range(prompts) for p in ranked(str(k), pictures, aspects=4)]
    independent = independent_pairs(held_out, ASPECTS)
    scores = random.random((20_000, prompts, pictures))
    one, two = np.array(list(combinations(range(pictures), 2))).T
    accuracy = (scores[..., one] < scores[..., two]).mean(axis=(1, 2))
    assert turned(accuracy, independent) < 0.005
    assert turned(accuracy, 4 * prompts * len(one)) > 0.04


def turned(accuracy: npt.NDArray[np.float64], count: float) -> float:
    """How many accuracies look lower than one half."""
    values, counts = np.unique(accuracy, return_counts=True)
    wrong = [wilson(float(value), count, 3)[1] < 0.5 for value in values]
    return float(counts[wrong].sum() / counts.sum())
