"""Every protocol against its definition, written again without pairs."""

import math
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from beholder.errors import ConfigError
from beholder.eval.protocols import (
    PROTOCOLS,
    TIE_THRESHOLDS,
    choose_tie_threshold,
    earned_by_prompt,
    pair_accuracy,
    pair_credit,
    ratio_deviation,
)

Floats = npt.NDArray[np.float64]
Ranking = tuple[str, list[int], list[float]]
"""A prompt, its pictures' ranks (1 is best) and their scores."""


def some_rankings(*, ties: bool, seed: int = 0, count: int = 40) -> list[Ranking]:
    generator = np.random.default_rng(seed)
    found: list[Ranking] = []
    for k in range(count):
        n = int(generator.integers(4, 10))
        ranks = generator.integers(1, 4, n) if ties else generator.permutation(n) + 1
        scores = generator.integers(0, 4, n) if ties else generator.normal(size=n)
        found.append((f"prompt {k // 2}", ranks.tolist(), scores.astype(float).tolist()))
    return found


def pairs_of(
    rankings: list[Ranking],
) -> tuple[Floats, Floats, list[str], list[tuple[str, int]]]:
    margin, people, prompts, names = [], [], [], []
    for k, (prompt, ranks, scores) in enumerate(rankings):
        for i, j in combinations(range(len(ranks)), 2):
            margin.append(scores[i] - scores[j])
            people.append(0.5 if ranks[i] == ranks[j] else float(ranks[i] < ranks[j]))
            prompts.append(prompt)
            names.append((prompt, k))
    return np.array(margin), np.array(people), prompts, names


@pytest.mark.parametrize("ties", [False, True])
def test_imagereward_is_the_published_count_over_rankings(ties: bool) -> None:
    rankings = some_rankings(ties=ties)
    right = counted = 0
    for _, ranks, scores in rankings:
        for better in range(len(ranks)):
            for worse in range(len(ranks)):
                if ranks[better] < ranks[worse]:  # a lower rank is a better picture
                    counted += 1
                    right += scores[better] > scores[worse]
    margin, people, prompts, _ = pairs_of(rankings)
    for name in ("imagereward", "mhp"):
        found = pair_accuracy(margin, people, prompts, name, draws=5)
        assert found.pairs == counted
        assert found.accuracy == pytest.approx(right / counted)


def one_minus_inversions(ranks: list[int], scores: list[float]) -> float:
    n = len(ranks)
    inversions = sum(
        (ranks[i] - ranks[j]) * (-scores[i] + scores[j]) < 0
        for i in range(n)
        for j in range(n)
        if i < j
    )
    return 1 - inversions / (n * (n - 1) / 2)


@pytest.mark.parametrize("ties", [False, True])
def test_hpdv2_is_one_minus_inversions_of_full_rankings(ties: bool) -> None:
    rankings = some_rankings(ties=ties)
    expected = np.mean([one_minus_inversions(ranks, scores) for _, ranks, scores in rankings])
    margin, people, prompts, names = pairs_of(rankings)
    found = pair_accuracy(margin, people, prompts, "hpdv2", rankings=names, draws=5)
    assert found.accuracy == pytest.approx(expected)
    assert found.prompts == 20  # whose two rankings are redrawn together


def swaps_to_sort(order: list[int]) -> int:
    """Adjacent swaps of a bubble sort."""
    order, swaps = list(order), 0
    for end in range(len(order), 1, -1):
        for i in range(end - 1):
            if order[i] > order[i + 1]:
                order[i], order[i + 1], swaps = order[i + 1], order[i], swaps + 1
    return swaps


def test_inversions_are_the_swaps_that_sort_peoples_ranks_in_the_order_of_the_scores() -> None:
    for _, ranks, scores in some_rankings(ties=False):
        best_first = [ranks[k] for k in np.argsort(scores)[::-1]]
        n = len(ranks)
        expected = 1 - swaps_to_sort(best_first) / (n * (n - 1) / 2)
        margin, people, prompts, _ = pairs_of([("p", ranks, scores)])
        assert pair_accuracy(margin, people, prompts, "hpdv2", draws=1).accuracy == pytest.approx(
            expected
        )


def test_hpdv2_of_raw_annotations_is_the_mean_over_annotators() -> None:
    generator = np.random.default_rng(1)
    scores = generator.normal(size=9).tolist()
    raw: list[Ranking] = [("p", (generator.permutation(9) + 1).tolist(), scores) for _ in range(10)]
    margin, people, prompts, names = pairs_of(raw)
    apart = pair_accuracy(margin, people, prompts, "hpdv2", rankings=names, draws=1)
    expected = np.mean([one_minus_inversions(ranks, scores) for _, ranks, scores in raw])
    assert apart.accuracy == pytest.approx(expected)
    # without ties it is also the mean over pairs of the share of annotators who agree
    shares = people.reshape(10, 36).mean(0)
    agree = np.where(margin[:36] > 0, shares, 1 - shares).mean()
    assert apart.accuracy == pytest.approx(agree)


def published_pickapic(margin: Floats, people: Floats, threshold: float) -> float:
    earned = []
    for gap, share in zip(margin, people, strict=True):
        first, second = np.exp([gap, 0.0]) / np.exp([gap, 0.0]).sum()
        predicted = "tie" if abs(first - second) <= threshold else "01"[int(second > first)]
        given = {0.5: "tie", 1.0: "0", 0.0: "1"}[float(share)]
        earned.append(1.0 if predicted == given else 0.5 if "tie" in (predicted, given) else 0.0)
    return float(np.mean(earned))


def test_pickapic_takes_the_threshold_that_is_best_on_validation() -> None:
    generator = np.random.default_rng(2)
    margin = generator.normal(size=600)
    people = np.where(
        np.abs(margin) + generator.normal(size=600) * 0.3 < 0.6,
        0.5,
        (margin + generator.normal(size=600) * 0.5 > 0).astype(float),
    )
    validation, test = slice(0, 300), slice(300, 600)
    expected = [published_pickapic(margin[validation], people[validation], t) for t in (
        0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)]  # fmt: skip
    threshold = choose_tie_threshold(margin[validation], people[validation])
    assert threshold == TIE_THRESHOLDS[int(np.argmax(expected))]
    assert 0 < threshold < 1
    found = pair_accuracy(margin[test], people[test], range(300), "pickapic", threshold, draws=1)
    assert found.accuracy == pytest.approx(
        published_pickapic(margin[test], people[test], threshold)
    )
    assert found.tie_threshold == threshold


def test_a_reward_that_sees_nothing_earns_what_each_protocol_gives_for_nothing() -> None:
    people = np.array([1.0, 0.0, 0.5, 1.0])
    nothing = np.zeros(4)
    accuracy = {
        name: pair_accuracy(nothing, people, range(4), name, 0.0, draws=1).accuracy
        for name in PROTOCOLS
    }
    assert accuracy == {"imagereward": 0, "mhp": 0, "hpdv2": 1, "pickapic": (3 / 2 + 1) / 4}


def test_the_mean_of_prompts_gives_each_prompt_the_same_weight() -> None:
    # one prompt with 1 of 1 right, one with 1 of 3: micro 2 / 4, by prompt (1 + 1 / 3) / 2
    margin, prompts = np.array([1.0, 1.0, -1.0, -1.0]), ["a", "b", "b", "b"]
    found = pair_accuracy(margin, np.ones(4), prompts, draws=1)
    assert found.accuracy == 0.5
    assert found.mean_of_prompts == pytest.approx(2 / 3)


def test_the_deviation_gives_the_standard_error_of_the_bootstrap() -> None:
    generator = np.random.default_rng(3)
    prompts = np.repeat(np.arange(200), generator.integers(1, 12, 200)).tolist()
    skill = generator.normal(size=200)[prompts]
    found = pair_accuracy(
        skill + generator.normal(size=len(prompts)), np.ones(len(prompts)), prompts
    )
    normal = 1.96 * found.deviation / math.sqrt(200)
    assert found.high - found.accuracy == pytest.approx(normal, rel=0.1)
    assert found.accuracy - found.low == pytest.approx(normal, rel=0.1)


def test_the_deviation_of_equal_groups_is_that_of_their_accuracies() -> None:
    earned = np.array([4.0, 2.0, 3.0])
    assert ratio_deviation(earned, np.full(3, 4.0)) == pytest.approx(np.std(earned / 4, ddof=1))
    assert math.isnan(ratio_deviation(earned[:1], np.ones(1)))


def test_what_counts_depends_on_people_alone() -> None:
    generator = np.random.default_rng(4)
    people = generator.choice([0.0, 0.5, 1.0], 50)
    prompts = generator.integers(0, 9, 50).tolist()
    for name in PROTOCOLS:
        one, other = (
            earned_by_prompt(generator.normal(size=50), people, prompts, name, 0.1)
            for _ in range(2)
        )
        assert (one[:, 1] == other[:, 1]).all()


def test_ids_are_stable() -> None:
    # a number that moves is a new version: change the id, never the meaning of an old one
    assert [p.id for p in PROTOCOLS.values()] == ["imagereward/1", "hpdv2/1", "pickapic/1", "mhp/1"]


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ConfigError, match="no protocol named 'pickscore'; known: imagereward"):
        pair_credit(np.ones(1), np.ones(1), "pickscore", None)
