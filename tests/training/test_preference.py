import math
from collections.abc import Sequence
from itertools import islice

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from beholder.training.data import Batch, Sides, make_batch
from beholder.training.preference import (
    accuracy_sums,
    best_accuracy,
    evaluation_sums,
    preference_task,
)
from beholder.training.scorers import Scorer
from beholder.types import Preference, Scores

LN3 = math.log(3)


class Letters(Scorer[list[float]]):
    """Scores a picture by its name, a number; every aspect alike."""

    @override
    def load(self, batch: Batch) -> list[float]:
        return [float(picture) for picture in batch.pictures]

    @override
    def score(self, batch: Batch, loaded: list[float]) -> Scores:
        total: Tensor = torch.tensor(loaded)[batch.picture_rows]
        return Scores(total, {"detail": total, "overall": total})


def pair(first: float, second: float, prompt: str = "x", **p_first: float) -> Preference:
    return Preference(key="k", prompt=prompt, first=str(first), second=str(second), p_first=p_first)


PAIRS = [
    pair(LN3, 0, overall=1.0),
    pair(0, LN3, overall=1.0, detail=0.0),
    pair(1, 1, overall=0.5),
    pair(5, 6, "y", detail=0.2),
]
WEIGHTS = {"detail": 2.0, "overall": 1.0}


def test_accuracy_counts_answers_that_are_no_ties() -> None:
    batch = make_batch(PAIRS, WEIGHTS)
    found = accuracy_sums(Letters().score(batch, Letters().load(batch)), batch)
    assert found == {
        "accuracy": (3.0, 4.0),
        "accuracy_detail": (2.0, 2.0),
        "accuracy_overall": (1.0, 2.0),
    }


def by_hand(pairs: Sequence[Preference]) -> float:
    """Weighted mean of KL; at a margin of ln 3 ln 4/3 for a right, ln 4 for a wrong answer."""
    fifth = 0.2 * math.log(0.2) + 0.8 * math.log(0.8)
    unsure = fifth + 0.2 * math.log1p(math.e) + 0.8 * math.log1p(1 / math.e)
    total = math.log(4 / 3) + math.log(4) + 2 * math.log(4 / 3) + 0 + 2 * unsure
    return total / 7


def test_metrics_of_shares_add_up_to_those_of_the_whole() -> None:
    batches = [make_batch(PAIRS[:3], WEIGHTS), make_batch(PAIRS[3:], WEIGHTS)]
    whole = evaluation_sums(Letters(), batches, WEIGHTS)
    shares = [evaluation_sums(Letters(), batches[k::2], WEIGHTS) for k in (0, 1)]
    none = evaluation_sums(Letters(), [], WEIGHTS)
    assert list(whole) == list(shares[0]) == list(none)
    for name, (total, count) in whole.items():
        assert total == pytest.approx(shares[0][name][0] + shares[1][name][0])
        assert count == shares[0][name][1] + shares[1][name][1]
    total, count = whole["eval/loss"]
    assert total / count == pytest.approx(by_hand(PAIRS), abs=1e-6)
    assert whole["eval/accuracy"] == (3.0, 4.0)


def test_a_step_gives_the_loss_of_its_batch_and_its_accuracy() -> None:
    task = preference_task(Letters(), Sides(PAIRS, [], []), WEIGHTS, pairs=4, seed=0)
    assert task.evaluate is None
    (first,) = islice(task.batches(0, 1), 1)
    loss, logs = task.step(first)
    assert loss.item() == pytest.approx(by_hand(PAIRS), abs=1e-6)
    assert logs == {"train/accuracy": 0.75}


def test_a_batch_of_ties_has_even_accuracy() -> None:
    task = preference_task(Letters(), Sides(PAIRS[2:3], [], []), WEIGHTS, pairs=4, seed=0)
    (first,) = islice(task.batches(0, 1), 1)
    assert task.step(first)[1] == {"train/accuracy": 0.5}


def test_accuracy_decides_and_the_loss_breaks_ties() -> None:
    better = {"eval/accuracy": 0.9, "eval/loss": 2.0}
    worse = {"eval/accuracy": 0.8, "eval/loss": 1.0}
    assert best_accuracy(better) > best_accuracy(worse)
    assert best_accuracy({**better, "eval/loss": 1.0}) > best_accuracy(better)
