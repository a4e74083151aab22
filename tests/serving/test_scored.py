"""Rows of scores become answers of finite numbers, or say why not."""

import math

import numpy as np
import pytest
import torch

from beholder.serving.items import Detail, Fault, Map, Scored, Word
from beholder.serving.scored import details_of, scored_rows
from beholder.types import Scores, WordLabel

ALL = frozenset[Detail]({"maps", "words", "deviations"})
NONE = frozenset[Detail]()


def scores() -> Scores:
    return Scores(
        total=torch.tensor([0.1, math.nan, 3.0]),
        aspects={"red": torch.tensor([1.0, math.nan, math.inf])},
        maps={"dark": torch.arange(12.0).reshape(3, 2, 2) / 12},
        words=([WordLabel("cat", 2, 5, 0.25)], (), [WordLabel("x", 0, 1, math.nan)]),
        errors={1: "truncated: it ends: early"},
        sizes=((4, 5), (0, 0), (6, 7)),
        deviations={"red": torch.tensor([0.5, math.nan, 0.75])},
    )


def test_each_row_has_its_numbers_bit_for_bit_and_what_it_asked_for() -> None:
    found = scored_rows(scores(), [ALL, ALL, NONE])
    first, second, third = found
    assert first == Scored(
        total=float(np.float32(0.1)),
        aspects={"red": 1.0},
        deviations={"red": 0.5},
        maps={"dark": Map(2, 2, (np.arange(4, dtype="<f4") / 12).tobytes())},
        words=(Word("cat", 2, 5, 0.25),),
        size=(4, 5),
    )
    assert second == Fault("truncated", "it ends: early")
    assert third == Scored(total=3.0, aspects={"red": None}, size=(6, 7))


@pytest.mark.parametrize("detail", ["maps", "words", "deviations"])
def test_a_detail_that_is_not_finite_is_a_fault_only_where_it_is_asked_for(detail: Detail) -> None:
    bad = scores()
    bad.maps["dark"][2, 0, 0] = math.inf
    bad.deviations["red"][2] = math.nan
    asked, other = (scored_rows(bad, [NONE, NONE, d])[2] for d in (frozenset({detail}), NONE))
    assert isinstance(asked, Fault)
    assert asked.code == "non-finite"
    assert isinstance(other, Scored)


@pytest.mark.parametrize("why", ["something of somebody's own", "The Picture: is odd", "odd: "])
def test_an_error_without_a_code_is_a_score_that_is_not_finite(why: str) -> None:
    (found,) = scored_rows(Scores(torch.tensor([math.nan]), errors={0: why}), [ALL])
    assert found == Fault("non-finite", why)


def test_what_a_reward_can_tell_is_what_it_told() -> None:
    assert set(details_of(scores())) == ALL
    assert details_of(Scores(torch.zeros(2), words=((), ()))) == ()
