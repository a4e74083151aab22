"""Accuracies worked out by hand for every protocol."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval.preference import (
    choose_tie_threshold,
    count_pictures,
    evaluate,
    log_loss,
    score_pairs,
)
from beholder.eval.protocols import pair_accuracy
from beholder.types import Preference, Scores


class Judge:
    """Scores a picture by the number in its name, aspects by a number each."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        self.calls.append(list(images))
        bad = {k: "missing: gone" for k, name in enumerate(images) if name == "bad"}
        total = torch.tensor([math.nan if k in bad else float(n) for k, n in enumerate(images)])
        return Scores(total, {"detail": -total}, errors=bad)


def prefer(prompt: str, first: str, second: str, **p_first: float) -> Preference:
    key = f"{prompt}{first}{second}"
    return Preference(key=key, prompt=prompt, first=first, second=second, p_first=p_first)


# prompt a: pictures 1 < 2 < 3; people agree on 3 > 1, disagree on 2 > 1, are tied on 3 ~ 2
# prompt b: picture 5 against 5: equal scores, people prefer the first; and 9 > 5, people agree
PEOPLE = [
    prefer("a", "3", "1", overall=1.0),
    prefer("a", "2", "1", overall=0.2),
    prefer("a", "3", "2", overall=0.5),
    prefer("b", "5", "5.0", overall=0.8),
    prefer("b", "9", "5", overall=1.0),
]


@pytest.mark.parametrize(
    ("protocol", "threshold", "accuracy", "pairs"),
    [
        ("imagereward", None, 2 / 4, 4),  # right: a31, b95; wrong: a21 and the equal b55
        ("hpdv2", None, (2 / 3 + 1) / 2, 5),  # one inversion among a's three, none in b
        ("pickapic", 0.0, (1 + 0 + 0.5 + 0.5 + 1) / 5, 5),
        # tanh(1/2) = 0.46, tanh(1) = 0.76, tanh(2) = 0.96: differences of 1 become ties at 0.5
        ("pickapic", 0.5, (1 + 0.5 + 1 + 0.5 + 1) / 5, 5),
        ("pickapic", 1.0, (0.5 + 0.5 + 1 + 0.5 + 0.5) / 5, 5),
    ],
)
def test_each_protocol_gives_what_the_hand_gives(
    protocol: str, threshold: float | None, accuracy: float, pairs: int
) -> None:
    result = evaluate(Judge(), PEOPLE, protocol=protocol, tie_threshold=threshold)
    overall = result.aspects["overall"]
    assert overall.accuracy == pytest.approx(accuracy)
    assert (overall.pairs, overall.prompts) == (pairs, 2)
    assert (overall.human_ties, overall.equal_scores) == (1, 1)
    assert overall.low <= accuracy <= overall.high
    assert result.scored_by == {"overall": "total"}


def test_each_picture_is_scored_once_for_its_prompt() -> None:
    judge = Judge()
    result = evaluate(judge, [*PEOPLE, *PEOPLE])
    assert judge.calls == [["3", "1", "2", "5", "5.0", "9"]]
    assert result.pictures == 6


def test_many_pictures_are_scored_in_parts_without_their_maps() -> None:
    class Drawing(Judge):
        def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
            scores = super().score(images, prompts)
            return replace(scores, maps={"fault": torch.zeros(len(images), 2, 2)})

    judge, done = Drawing(), list[int]()
    said = [prefer("a", str(k), str(k + 1), overall=0.0) for k in range(600)]
    scored = score_pairs(judge, said, progress=done.append)
    assert done == [512, 89]
    assert sum(done) == count_pictures(said) == len(scored.scores)
    assert scored.scores.maps == {}
    assert scored.scores.total.tolist() == list(range(601))


def test_a_question_about_three_pictures_is_a_ranking_and_pairs_of_a_prompt_make_one() -> None:
    # "asked" ranks 1, 2, 3 rightly; the two questions about pairs together earn 1 of 2
    ranking = [
        replace(prefer("a", first, second, overall=1.0), key="asked")
        for first, second in (("2", "1"), ("3", "1"), ("3", "2"))
    ]
    questions = [prefer("a", "9", "8", overall=1.0), prefer("a", "6", "7", overall=1.0)]
    found = evaluate(Judge(), [*ranking, *questions], protocol="hpdv2").aspects["overall"]
    assert found.accuracy == pytest.approx((1 + 1 / 2) / 2)
    assert (found.pairs, found.prompts) == (5, 1)


def test_each_dimension_of_mhp_is_counted_apart() -> None:
    said = [prefer("a", "1", "2", detail=1.0, overall=0.5), prefer("b", "1", "2", overall=1.0)]
    aspects = evaluate(Judge(), said, protocol="mhp").aspects
    assert {a: (x.accuracy, x.pairs) for a, x in aspects.items()} == {
        "detail": (1, 1),
        "overall": (0, 1),
    }


def test_an_aspect_is_judged_by_its_own_score_if_there_is_one() -> None:
    result = evaluate(Judge(), [prefer("a", "1", "2", detail=1.0, overall=1.0)])
    assert result.aspects["detail"].accuracy == 1
    assert result.aspects["overall"].accuracy == 0
    assert result.scored_by == {"detail": "detail", "overall": "total"}


def test_unreadable_pictures_are_named_and_their_pairs_left_out() -> None:
    result = evaluate(Judge(), [*PEOPLE, prefer("c", "bad", "1", overall=1.0)])
    assert result.unreadable == {"bad": "missing: gone"}
    assert result.pairs_left_out == 1
    assert result.aspects["overall"].pairs == 4


def test_log_loss_is_the_cross_entropy_of_soft_answers() -> None:
    assert log_loss(np.zeros(3), np.array([0, 0.5, 1])) == pytest.approx(math.log(2))
    q = 1 / (1 + math.exp(-2))
    expected = -0.3 * math.log(q) - 0.7 * math.log(1 - q)
    assert log_loss(np.array([2.0]), np.array([0.3])) == pytest.approx(expected)
    assert log_loss(np.array([-1e4]), np.array([1.0])) == pytest.approx(1e4)


def test_the_tie_threshold_is_chosen_on_validation_pairs() -> None:
    # ties have |p1 - p0| of 0.05, orders 0.76: thresholds from 0.1 to 0.7 are perfect
    margin = np.array([0.1, -0.1, 2.0, -2.0])
    people = np.array([0.5, 0.5, 1.0, 0.0])
    assert choose_tie_threshold(margin, people) == 0.1
    validation = [prefer("v", "1", "1.1", overall=0.5), prefer("v", "4", "2", overall=1.0)]
    result = evaluate(Judge(), PEOPLE, protocol="pickapic", validation=validation)
    assert result.aspects["overall"].tie_threshold == 0.1
    assert result.tie_threshold_from == "validation"
    given = evaluate(Judge(), PEOPLE, protocol="pickapic", tie_threshold=0.3)
    assert given.tie_threshold_from == "given"


def test_intervals_redraw_prompts_not_pairs() -> None:
    margin = np.array([1.0] * 50 + [-1.0] * 50)
    one_prompt_each = pair_accuracy(margin, np.ones(100), range(100))
    two_prompts = pair_accuracy(margin, np.ones(100), ["good"] * 50 + ["bad"] * 50)
    assert (two_prompts.low, two_prompts.high) == (0, 1)
    # binomial: 0.5 +- 1.96 sqrt(0.25 / 100)
    assert one_prompt_each.low == pytest.approx(0.402, abs=0.02)
    assert one_prompt_each.high == pytest.approx(0.598, abs=0.02)


def test_an_aspect_without_a_counting_pair_is_nan() -> None:
    only_ties = evaluate(Judge(), [prefer("a", "1", "2", overall=0.5)]).aspects["overall"]
    assert math.isnan(only_ties.accuracy)
    assert (only_ties.pairs, only_ties.prompts) == (0, 0)


def test_the_result_is_json_and_names_its_protocol() -> None:
    loaded = json.loads(json.dumps(evaluate(Judge(), PEOPLE).as_dict()))
    assert loaded["protocol"] == "imagereward/1"
    assert "equal prediction is wrong" in loaded["meaning"]
    assert loaded["aspects"]["overall"]["accuracy"] == 0.5


def test_senseless_questions_are_refused() -> None:
    with pytest.raises(DataError, match="no preference"):
        evaluate(Judge(), [])
    with pytest.raises(ConfigError, match="no protocol named 'hpd'; known: imagereward, hpdv2"):
        evaluate(Judge(), PEOPLE, protocol="hpd")
    with pytest.raises(ConfigError, match="needs tie_threshold"):
        evaluate(Judge(), PEOPLE, protocol="pickapic")
    with pytest.raises(ConfigError, match="takes no tie threshold"):
        evaluate(Judge(), PEOPLE, protocol="hpdv2", tie_threshold=0.1)
    with pytest.raises(DataError, match="1 margins, 2 preferences"):
        pair_accuracy(np.ones(1), np.ones(2), ["a"])
