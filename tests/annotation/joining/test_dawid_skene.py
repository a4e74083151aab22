import time

import numpy as np
import pytest

from beholder.annotation.joining.dawid_skene import DawidSkenePrior, Vote, fit_dawid_skene
from beholder.errors import DataError

# Dawid and Skene (1979), table 1: 45 patients; observer 1 saw each three times, the others once.
PATIENTS = """
111,1111 333,4334 112,2122 222,3121 222,3222 222,3322 122,2111 333,3433 222,2223 232,2223
444,4444 222,3343 111,1111 222,3212 121,1111 111,2111 111,1111 111,1111 222,2221 222,1322
222,2222 222,2221 222,3222 221,2222 111,1111 111,1111 232,2222 111,1111 111,1111 112,1121
111,1111 333,3233 111,1111 222,2222 222,3232 433,4343 221,2232 232,3233 333,3432 111,1111
111,1111 121,2111 232,2222 121,1111 222,2222
"""
NOTHING_KNOWN = DawidSkenePrior(right=0, wrong=0, items=0, rounds=5000, tolerance=1e-10)


def anaesthetists() -> list[Vote]:
    return [
        (patient, str(observer), int(label) - 1)
        for patient, row in enumerate(PATIENTS.split())
        for observer, labels in enumerate([row[:3], *row[4:]], start=1)
        for label in labels
    ]


def test_the_anaesthetists_of_the_paper() -> None:
    """Table 2: how common the classes are, and the error rates of observer 1."""
    fit = fit_dawid_skene(anaesthetists(), labels=4, mirrored=False, prior=NOTHING_KNOWN)
    assert np.round(fit.labels, 2).tolist() == [0.40, 0.42, 0.11, 0.07]
    assert np.round(fit.confusion["1"], 2).tolist() == [
        [0.89, 0.11, 0, 0],
        [0.07, 0.88, 0.05, 0],
        [0, 0.34, 0.66, 0],
        [0, 0, 0.56, 0.44],
    ]
    assert np.round(fit.posteriors[35], 2).tolist() == [0, 0, 0, 1], "4 by two of five"


def test_one_vote_by_hand() -> None:
    """With even labels the posterior is the column "first" of theta, which holds half of it.

    The vote counts half for the item and half for its mirror, beside 2 + 0.5 + 0.5 pseudo-answers.
    """
    prior = DawidSkenePrior(items=1e12, tolerance=1e-12)
    first, tie, second = fit_dawid_skene([("i", "x", 0)], prior=prior).posteriors["i"]
    decided = 3 + (first + second) / 2
    column = [(2 + first / 2) / decided, (0.5 + tie / 2) / (3 + tie), (0.5 + second / 2) / decided]
    assert [first, tie, second] == pytest.approx([c / sum(column) for c in column])


def simulated(
    thetas: dict[str, list[list[float]]], items: int, seed: int
) -> tuple[list[Vote], list[int]]:
    generator = np.random.default_rng(seed)
    truth = generator.choice(3, items, p=[0.4, 0.2, 0.4])
    votes: list[Vote] = [
        (item, who, int(generator.choice(3, p=theta[label])))
        for item, label in enumerate(truth)
        for who, theta in thetas.items()
    ]
    return votes, [int(label) for label in truth]


HABITS = {
    "careful": [[0.9, 0.08, 0.02], [0.1, 0.8, 0.1], [0.02, 0.08, 0.9]],
    "decided": [[0.8, 0.0, 0.2], [0.5, 0.0, 0.5], [0.2, 0.0, 0.8]],
    "shy": [[0.4, 0.6, 0.0], [0.05, 0.9, 0.05], [0.0, 0.6, 0.4]],
    "contrary": [[0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]],
}


def test_the_habits_of_simulated_annotators_are_found() -> None:
    votes, truth = simulated(HABITS, 3000, seed=0)
    fit = fit_dawid_skene(votes)
    for who, theta in HABITS.items():
        assert np.abs(np.array(fit.confusion[who]) - theta).max() < 0.05, who
    assert np.abs(np.array(fit.labels) - [0.4, 0.2, 0.4]).max() < 0.03
    right = [int(np.argmax(fit.posteriors[item])) == label for item, label in enumerate(truth)]
    majority = [
        np.bincount([v for i, _, v in votes[4 * item : 4 * item + 4]], minlength=3).argmax()
        == label
        for item, label in enumerate(truth)
    ]
    assert np.mean(right) > 0.9 > np.mean(majority) + 0.1
    assert fit.reliability()["careful"] == pytest.approx(0.88, abs=0.03)


def test_posteriors_are_as_sure_as_they_are_right() -> None:
    votes, truth = simulated(HABITS, 3000, seed=1)
    posteriors = np.array(list(fit_dawid_skene(votes).posteriors.values()))
    hits = posteriors.argmax(1) == np.array(truth)
    assert posteriors.max(1).mean() == pytest.approx(hits.mean(), abs=0.02)


def test_turning_an_item_turns_its_posterior_and_nothing_else() -> None:
    votes, _ = simulated(HABITS, 80, seed=2)
    some = set(range(0, 80, 3))
    turned = [(i, who, 2 - label if i in some else label) for i, who, label in votes]
    one, other = fit_dawid_skene(votes), fit_dawid_skene(turned)
    for item, posterior in one.posteriors.items():
        expected = posterior[::-1] if item in some else posterior
        assert np.allclose(other.posteriors[item], expected, atol=1e-4)
    for who, theta in one.confusion.items():
        assert np.allclose(other.confusion[who], theta, atol=1e-4)


def test_mirrored_habits_and_labels_are_symmetric() -> None:
    fit = fit_dawid_skene(simulated(HABITS, 50, seed=3)[0])
    assert fit.labels[0] == pytest.approx(fit.labels[2])
    for theta in fit.confusion.values():
        assert np.allclose(theta, np.array(theta)[::-1, ::-1])


def test_two_thousand_items_of_three_people_take_less_than_a_second() -> None:
    votes, _ = simulated({who: HABITS[who] for who in list(HABITS)[:3]}, 2000, seed=4)
    start = time.process_time()
    fit_dawid_skene(votes)
    assert time.process_time() - start < 1


def test_the_order_of_votes_does_not_matter() -> None:
    votes, _ = simulated(HABITS, 40, seed=5)
    one, other = fit_dawid_skene(votes), fit_dawid_skene(votes[::-1])
    for item, posterior in one.posteriors.items():
        assert np.allclose(other.posteriors[item], posterior)


def test_no_votes_give_an_empty_fit() -> None:
    fit = fit_dawid_skene([])
    assert (fit.posteriors, fit.confusion) == ({}, {})


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(DataError, match="label 3, expected 0 to 2"):
        fit_dawid_skene([("i", "x", 3)])
    with pytest.raises(DataError, match="none below 0"):
        DawidSkenePrior(wrong=-1)
