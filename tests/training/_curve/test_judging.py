from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from beholder.eval.preference import evaluate
from beholder.training._curve.judging import group_of, stand
from beholder.training.judged.rated import Rated
from beholder.types import Preference, Scores

VALUES = {"a": 3.0, "b": 2.0, "c": 1.0, "broken": float("nan"), "odd": float("nan")}
WHY = {"broken": "missing: no such file", "odd": "non-finite: the reward gave nan"}
ASPECTS = ("overall", "detail")


class Table:
    """Scores by picture; "detail" is the other way round."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        total = torch.tensor([VALUES.get(image, len(image) / 7) for image in images])
        errors = {k: WHY[image] for k, image in enumerate(images) if image in WHY}
        return Scores(total, {"overall": total, "detail": -total}, errors=errors)


def pair(prompt: str, first: str, second: str, **p_first: float) -> Preference:
    return Preference(key="", prompt=prompt, first=first, second=second, p_first=p_first)


PAIRS = [
    pair("x", "a", "b", overall=1.0, detail=1.0),
    pair("x", "c", "b", overall=1.0),
    pair("y", "a", "c", overall=0.5),
    pair("y", "b", "c", overall=0.8, detail=0.0),
]


def test_right_answers_are_counted_by_prompt_and_aspect() -> None:
    found = stand(Table(), PAIRS, ASPECTS)
    assert found.sums == {"overall": [[1, 2], [1, 1]], "detail": [[0, 1], [1, 1]]}
    assert found.values(found.table().sum(0, keepdims=True)) == pytest.approx([3 / 5])
    assert (found.judged(), found.judged("detail")) == (5, 2)


def test_it_agrees_with_the_evaluation_by_the_same_protocol() -> None:
    found = stand(Table(), PAIRS, ASPECTS)
    judged = evaluate(Table(), PAIRS, protocol="imagereward", draws=10)
    for aspect in ASPECTS:
        (value,) = found.values(found.table(aspect).sum(0, keepdims=True))
        assert judged.aspects[aspect].accuracy == value


def test_unread_pictures_take_their_pairs_out_and_scores_that_are_no_numbers_are_wrong() -> None:
    pairs = [
        pair("x", "a", "broken", overall=1.0),
        pair("x", "odd", "a", overall=0.0),
        pair("x", "a", "b", overall=1.0),
    ]
    found = stand(Table(), pairs, ASPECTS)
    assert found.sums == {"overall": [[1, 2]]}
    assert found.left_out == 1


def rated(count: int) -> list[Rated]:
    random = np.random.default_rng(0)
    return [
        Rated(
            key=str(k),
            prompt=f"prompt {k // 3}",
            image="z" * int(random.integers(1, 9)),
            values={"overall": float(random.integers(0, 5)), "detail": float(random.normal())},
        )
        for k in range(count)
    ]


def test_the_correlation_of_ratings_is_spearmans() -> None:
    rows = rated(40)
    found = stand(Table(), rows, ASPECTS)
    said = np.array([len(one.image) for one in rows])
    by_aspect = []
    for aspect, sign in (("overall", 1), ("detail", -1)):
        exact = spearmanr(sign * said, [one.values[aspect] for one in rows]).statistic
        (value,) = found.values(found.table(aspect).sum(0, keepdims=True))
        assert value == pytest.approx(exact, abs=1e-12)
        by_aspect.append(exact)
    (together,) = found.values(found.table().sum(0, keepdims=True))
    assert together == pytest.approx(np.mean(by_aspect), abs=1e-12)
    assert len(found.table()) == 14
    assert found.judged("overall") == 40


def test_a_constant_score_has_no_correlation() -> None:
    rows = [Rated(key="", prompt="x", image="a", values={"overall": float(k)}) for k in range(4)]
    found = stand(Table(), rows, ["overall"])
    assert np.isnan(found.values(found.table().sum(0, keepdims=True)))


def test_what_has_no_prompt_is_a_group_of_its_own() -> None:
    rows = [Rated(key="", prompt="", image=image, values={}) for image in "ab"]
    assert [group_of(one) for one in rows] == ["a", "b"]
    assert group_of(PAIRS[0]) == "x"
