import math
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest

from beholder.annotation.joining.crowd import CrowdFit, CrowdPrior, Vote, fit_crowd
from beholder.errors import DataError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def fixed(faithful: float = 4.0, contrary: float = 1.0, spread: float = 2.0) -> CrowdPrior:
    """A prior whose spread no answer can move."""
    return CrowdPrior(
        faithful=faithful, contrary=contrary, spread=spread, spread_pairs=1e12, tolerance=1e-9
    )


def simulated(accuracies: list[float], pairs: int, seed: int) -> tuple[list[Vote], Integers]:
    """Isolated pairs, truth -1 or 1, each annotator right with its accuracy, a tenth ties."""
    generator = np.random.default_rng(seed)
    truth = generator.choice([-1, 1], pairs)
    votes: list[Vote] = []
    for pair, right in enumerate(truth.tolist()):
        for person, accuracy in enumerate(accuracies):
            value = right if generator.random() < accuracy else -right
            value = 0 if generator.random() < 0.1 else value
            votes.append((f"{pair}a", f"{pair}b", f"person-{person}", value))
    return votes, truth


def accuracy(fit: CrowdFit, truth: Integers) -> float:
    p = np.array([fit.p_first(f"{k}a", f"{k}b") for k in range(len(truth))])
    return float(np.mean(np.sign(0.5 - p) == truth))


def majority_accuracy(votes: list[Vote], truth: Integers) -> float:
    """Ties of the vote count as half right."""
    sums = np.array([v[3] for v in votes]).reshape(len(truth), -1).sum(1)
    return float(np.mean((1 + np.sign(sums) * truth) / 2))


@pytest.mark.parametrize(
    ("accuracies", "gain"), [([0.9, 0.8, 0.1], 0.15), ([0.9, 0.8, 0.7, 0.5, 0.2], 0.1)]
)
def test_planted_reliabilities_are_found_and_beat_the_majority(
    accuracies: list[float], gain: float
) -> None:
    votes, truth = simulated(accuracies, pairs=300, seed=0)
    fit = fit_crowd(votes, prior=CrowdPrior())
    found = [fit.reliability[f"person-{k}"] for k in range(len(accuracies))]
    assert found == pytest.approx(accuracies, abs=0.1)
    assert accuracy(fit, truth) > majority_accuracy(votes, truth) + gain


def test_one_vote_gives_the_integral_worked_out_numerically() -> None:
    """E[sigma(d)] under N(d; 0, 2^2) (eta sigma(d) + (1 - eta) sigma(-d)), normalised.

    With symmetry the denominator is 1/2, so p = 2 (eta E[s^2] + (1 - eta) E[s (1 - s)]).
    """
    fit = fit_crowd([("a", "b", "x", -1)], prior=fixed(spread=2.0))
    eta = fit.reliability["x"]
    d = np.linspace(-20, 20, 200_001)
    density = np.exp(-(d**2) / 8)
    density /= density.sum()
    s = 1 / (1 + np.exp(-d))
    expected = 2 * (density * (eta * s * s + (1 - eta) * s * (1 - s))).sum()
    assert fit.p_first("a", "b") == pytest.approx(expected, abs=1e-6)
    assert fit.p_first("b", "a") == pytest.approx(1 - expected, abs=1e-6)


def test_with_certain_margins_the_pair_follows_dawid_and_skene() -> None:
    """A vast spread leaves two states; three fixed etas of 0.8 and votes 2 : 1 give 0.8."""
    prior = fixed(faithful=8e9, contrary=2e9, spread=1e4)
    votes: list[Vote] = [("a", "b", "x", -1), ("a", "b", "y", -1), ("a", "b", "z", 1)]
    fit = fit_crowd(votes, prior=prior)
    odds = (0.8 / 0.2) ** 2 * (0.2 / 0.8)
    assert fit.p_first("a", "b") == pytest.approx(odds / (1 + odds), abs=1e-6)


def test_a_tie_and_opposite_votes_are_even() -> None:
    tie = fit_crowd([("a", "b", "x", 0)], prior=CrowdPrior())
    split = fit_crowd([("a", "b", "x", 1), ("a", "b", "y", -1)], prior=CrowdPrior())
    assert tie.p_first("a", "b") == pytest.approx(0.5)
    assert split.p_first("a", "b") == pytest.approx(0.5)


def test_a_tie_weakens_a_preference() -> None:
    sure = fit_crowd([("a", "b", "x", -1), ("a", "b", "y", -1)], prior=CrowdPrior())
    less = fit_crowd([("a", "b", "x", -1), ("a", "b", "y", 0)], prior=CrowdPrior())
    assert 0.5 < less.p_first("a", "b") < sure.p_first("a", "b")


def test_a_chain_of_pairs_carries_over_to_the_pair_between() -> None:
    """a > b > c, and one vote c > a: the strengths outvote it, as no isolated pair could."""
    votes: list[Vote] = [("a", "b", f"p{k}", -1) for k in range(4)]
    votes += [("b", "c", f"p{k}", -1) for k in range(4)]
    fit = fit_crowd([*votes, ("a", "c", "p0", 1)], prior=fixed())
    assert fit.p_first("a", "c") > 0.6


def test_connected_pictures_agree_with_integration_by_sampling() -> None:
    """Three pictures, all pairs asked; the strengths integrated by a million prior draws."""
    prior = fixed(faithful=8e9, contrary=2e9)
    votes: list[Vote] = [("a", "b", "x", -1), ("b", "c", "x", -1), ("a", "c", "y", 1)]
    fit = fit_crowd(votes, prior=prior)
    s = np.random.default_rng(0).normal(size=(1_000_000, 3)) * math.sqrt(2)

    def first(i: int, j: int) -> Floats:
        return np.asarray(1 / (1 + np.exp(s[:, j] - s[:, i])))

    def says(p: Floats) -> Floats:
        return 0.8 * p + 0.2 * (1 - p)

    weight = says(first(0, 1)) * says(first(1, 2)) * says(first(2, 0))
    for i, j in ((0, 1), (1, 2), (0, 2)):
        exact = (weight * first(i, j)).sum() / weight.sum()
        assert fit.p_first("abc"[i], "abc"[j]) == pytest.approx(exact, abs=0.01)


def test_turning_all_votes_round_turns_the_probabilities_round() -> None:
    votes, _ = simulated([0.9, 0.7], pairs=20, seed=1)
    straight = fit_crowd(votes, prior=CrowdPrior())
    turned = fit_crowd([(b, a, who, -v) for a, b, who, v in votes], prior=CrowdPrior())
    for k in range(20):
        pair = (f"{k}a", f"{k}b")
        assert turned.p_first(*pair) == pytest.approx(straight.p_first(*pair), abs=1e-9)
    assert turned.reliability == pytest.approx(straight.reliability)


def test_the_order_of_the_votes_does_not_matter() -> None:
    votes: list[Vote] = [("a", "b", "x", -1), ("b", "c", "y", 1), ("a", "c", "y", 0)]
    fits = [fit_crowd(list(order), prior=CrowdPrior()) for order in permutations(votes)]
    values = [fit.p_first("a", "c") for fit in fits]
    assert values == pytest.approx([values[0]] * 6, abs=1e-9)


def test_no_votes_give_an_empty_fit() -> None:
    fit = fit_crowd([], prior=CrowdPrior())
    assert fit.reliability == {}
    assert fit.probabilities == {}


def test_a_prior_that_cannot_tell_right_from_wrong_is_refused() -> None:
    with pytest.raises(DataError, match="must exceed contrary"):
        CrowdPrior(faithful=1, contrary=1)
    with pytest.raises(DataError, match="with itself"):
        fit_crowd([("a", "a", "x", 1)], prior=CrowdPrior())
