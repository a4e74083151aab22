"""Three checkpoints, and people who see them the other way round."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._ranking.agreement import Agreement, Flip, People, judged_agreement
from beholder.types import Preference

PROMPTS = 6
TABLE: dict[str, list[object]] = {
    "image": [f"/p/{m}{k}.png" for k in range(PROMPTS) for m in "abc"],
    "prompt": [f"prompt {k}" for k in range(PROMPTS) for _ in "abc"],
    "model": [m for _ in range(PROMPTS) for m in "abc"],
    "r.total": [float(v) for _ in range(PROMPTS) for v in (1, 2, 3)],
    "r.detail": [float(v) for _ in range(PROMPTS) for v in (3, 2, 1)],
}


def said(pairs: Sequence[tuple[str, str]], aspect: str = "overall") -> list[Preference]:
    """The first of each pair is preferred, on every prompt."""
    return [
        Preference(
            key=f"{k}{first}{second}",
            prompt=f"prompt {k}",
            first=f"/p/{first}{k}.png",
            second=f"/p/{second}{k}.png",
            p_first={aspect: 1.0},
        )
        for k in range(PROMPTS)
        for first, second in pairs
    ]


def found(
    judgements: list[Preference],
    score: str = "r.total",
    table: Mapping[str, list[object]] = TABLE,
) -> Agreement:
    people = People(judgements=judgements, draws=50)
    (only,) = judged_agreement(table, score, "model", people)
    return only


def test_opposite_orders_correlate_at_minus_one_and_every_pair_is_a_flip() -> None:
    result = found(said(list(combinations("abc", 2))))
    assert result.accuracy.accuracy == 0.0
    assert (result.kendall, result.spearman) == pytest.approx((-1, -1))
    assert (result.kendall_interval.low, result.kendall_interval.high) == pytest.approx((-1, -1))
    flips = {(flip.people, flip.score) for flip in result.flips}
    assert flips == {("a", "b"), ("a", "c"), ("b", "c")}
    assert result.checkpoint_pairs == 3 * PROMPTS
    assert result.people["a"] == pytest.approx(-result.people["c"])


def test_strengths_are_from_the_judged_pairs_with_a_tie_each() -> None:
    """Of a and b alone people say 6 to 0, with one virtual tie 6.5 to 0.5."""
    result = found(said([("a", "b")]))
    assert result.people["a"] - result.people["b"] == pytest.approx(math.log(6.5 / 0.5))
    assert result.score["b"] - result.score["a"] == pytest.approx(math.log(6.5 / 0.5))
    assert result.flips == [Flip(people="a", score="b")]
    assert math.isnan(result.kendall)
    assert "three checkpoints" in result.why


def test_an_aspect_is_judged_by_the_score_of_its_name() -> None:
    judgements = said(list(combinations("abc", 2)), "detail")
    result = found(judgements, "r.detail")
    assert (result.aspect, result.accuracy.accuracy) == ("detail", 1.0)
    assert result.kendall == pytest.approx(1)
    assert result.flips == []
    assert found(judgements, "r.total").aspect == "detail"  # nothing else was asked


def test_a_picture_without_a_score_leaves_its_pairs_out() -> None:
    scores: list[object] = [math.nan, *TABLE["r.total"][1:]]
    result = found(said(list(combinations("abc", 2))), table=TABLE | {"r.total": scores})
    assert result.pairs_left_out == 2
    assert result.accuracy.pairs == 3 * PROMPTS - 2


def test_pairs_of_one_checkpoint_say_nothing_of_checkpoints() -> None:
    result = found(said([("a", "a")]))
    assert result.checkpoint_pairs == 0
    assert (result.people, result.why) == ({}, "people compared no two checkpoints")


def test_the_largest_connected_group_is_ranked() -> None:
    wide: dict[str, list[object]] = {
        "image": TABLE["image"] + [f"/p/{m}{k}.png" for k in range(PROMPTS) for m in "de"],
        "prompt": TABLE["prompt"] + [f"prompt {k}" for k in range(PROMPTS) for _ in "de"],
        "model": TABLE["model"] + ["d", "e"] * PROMPTS,
        "r.total": TABLE["r.total"] + [0.0, 1.0] * PROMPTS,
    }
    result = found(said([("a", "b"), ("d", "e"), ("c", "b")]), table=wide)
    assert result.checkpoints == ["a", "b", "c"]
    assert result.checkpoint_pairs == 3 * PROMPTS


def test_what_cannot_be_compared_is_refused() -> None:
    other = [Preference(key="x", prompt="?", first="y", second="z", p_first={"overall": 1.0})]
    with pytest.raises(DataError, match="none of the 1 judgements"):
        found(other)
    with pytest.raises(ConfigError, match="pickapic"):
        people = People(judgements=said([("a", "b")]), protocol="pickapic")
        judged_agreement(TABLE, "r.total", "model", people)
