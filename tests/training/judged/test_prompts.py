from hashlib import blake2b

import pytest

from beholder.errors import DataError
from beholder.training.judged.prompts import (
    by_prompt,
    folded,
    prompt_weights,
    split_by,
    split_by_prompt,
)
from beholder.types import Preference
from tests.training.judged.test_data import many, pair


def test_whole_prompts_are_held_out() -> None:
    train, held_out = split_by_prompt(many(10), 0.2, seed=0)
    assert len(train) == 48
    assert len(held_out) == 12
    assert not {p.prompt for p in train} & {p.prompt for p in held_out}
    backwards = split_by_prompt(many(10)[::-1], 0.2, seed=0)[1]
    assert {p.key for p in backwards} == {p.key for p in held_out}


def test_a_small_share_still_holds_one_prompt_out() -> None:
    assert len(split_by_prompt(many(3), 0.01, seed=0)[1]) == 6


def test_one_prompt_cannot_be_split() -> None:
    with pytest.raises(DataError, match="held_out_share=0"):
        split_by_prompt(many(1), 0.1, seed=0)


def test_prompts_that_differ_in_case_and_spacing_are_on_one_side() -> None:
    twins = [pair(f" Prompt  {p} ", f"{p}-a", f"{p}-b") for p in range(10)]
    for seed in range(5):
        train, held_out = split_by_prompt([*many(10), *twins], 0.3, seed)
        assert len(held_out) == 3 * 7
        assert not {folded(p.prompt) for p in train} & {folded(p.prompt) for p in held_out}


def test_the_draw_is_of_the_prompt_as_it_is_written() -> None:
    pairs = [pair(f"Prompt  {p}", f"{p}-a", f"{p}-b") for p in range(10)]
    order = sorted(pairs, key=lambda p: blake2b(f"7 {p.prompt}".encode(), digest_size=8).digest())
    held_out = split_by_prompt(pairs, 0.3, seed=7)[1]
    assert {p.prompt for p in held_out} == {p.prompt for p in order[:3]}


def test_one_prompt_in_two_spellings_cannot_be_split() -> None:
    with pytest.raises(DataError, match="one prompt"):
        split_by_prompt([pair("a cat", "a", "b"), pair("A  cat\n", "c", "d")], 0.5, seed=0)


def test_another_name_can_tell_what_belongs_together() -> None:
    pairs = many(1)
    train, held_out = split_by(pairs, lambda p: p.first, 0.3, seed=0)
    assert len({p.first for p in held_out}) == 1
    assert sorted(p.key for p in [*train, *held_out]) == sorted(p.key for p in pairs)


def test_folding_drops_case_and_spacing_and_nothing_else() -> None:
    assert folded(" A\tCAT,  sitting\n") == "a cat, sitting"
    assert folded("straße") == folded("STRASSE")
    assert folded("a cat.") != folded("a cat")


def test_folding_joins_letters_that_are_coded_differently() -> None:
    assert folded("caf\u00e9") == folded("cafe\u0301") == folded("CAFE\u0301")
    assert folded("cafe\u0301") == "caf\u00e9"
    assert folded("\u0345\u0301") == folded("\u0301\u0345")  # only where it is decomposed first


def test_rows_of_a_prompt_stay_together_in_stretches() -> None:
    pairs = [pair(prompt, "a", "b") for prompt in "xyxxyx"]
    assert by_prompt(pairs, range(6), 10) == [[0, 2, 3, 5], [1, 4]]
    assert by_prompt(pairs, range(6), 3) == [[0, 2, 3], [5], [1, 4]]
    assert by_prompt(pairs, [5, 1, 0], 3) == [[5, 0], [1]]


def test_every_prompt_weighs_the_same_and_the_mean_weight_is_1() -> None:
    pairs: list[Preference] = [pair("x", "a", "b"), *[pair("y", "a", "b")] * 3]
    assert prompt_weights(pairs, "inverse") == pytest.approx([2.0, 2 / 3, 2 / 3, 2 / 3])
    assert prompt_weights(pairs, "none") is None


def test_names_that_are_tied_are_held_out_together_while_they_fit() -> None:
    pairs = [pair(f"{k}", "a", "b") for k in range(10)]
    tied = {f"{k}": "first" if k < 6 else f"{k}" for k in range(10)}
    for seed in range(10):
        train, held_out = split_by(pairs, lambda p: p.prompt, 0.2, seed, tied)
        assert len(train) == 8
        assert {p.prompt for p in held_out} < set("6789")
    halves = {f"{k}": "first" if k < 6 else "second" for k in range(10)}
    assert len(split_by(pairs, lambda p: p.prompt, 0.2, 0, halves)[1]) == 4
    with pytest.raises(DataError, match="all 10 prompts are tied to each other by pictures"):
        split_by(pairs, lambda p: p.prompt, 0.2, 0, dict.fromkeys(tied, "one"))


def test_spellings_of_a_prompt_are_counted_together() -> None:
    pairs = [pair("x", "a", "b"), pair(" X", "a", "b"), pair("y", "a", "b")]
    assert prompt_weights(pairs, "inverse") == pytest.approx([0.75, 0.75, 1.5])
