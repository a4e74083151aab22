from itertools import pairwise

import pytest

from beholder.errors import ConfigError, DataError
from beholder.prompt_sets._rows import PromptRow, gathered, part_of


def test_the_first_of_equal_prompts_stands_and_the_others_are_counted() -> None:
    rows = [
        PromptRow(" a fox ", "animals", {"n": 1}),
        PromptRow("a cat"),
        PromptRow("a fox", "others"),
        PromptRow(" \t"),
        PromptRow("A fox"),
    ]
    found = gathered("mine", rows)
    assert [row.prompt for row in found] == ["a fox", "a cat", "A fox"]
    assert (found[0].category, found[0].further) == ("animals", {"n": 1})
    assert found.duplicates == 1
    assert found.categories == ["animals"]
    assert found[1:] == (PromptRow("a cat"), PromptRow("A fox"))


def test_the_hash_is_of_the_prompts_in_their_order_alone() -> None:
    both = gathered("one", [PromptRow("a"), PromptRow("b")])
    again = gathered("two", [PromptRow("a", "x"), PromptRow("b", further={"n": 1})])
    turned = gathered("one", [PromptRow("b"), PromptRow("a")])
    assert both.sha256 == again.sha256 != turned.sha256
    assert len(both.sha256) == 64


def test_a_limit_takes_the_categories_in_turn_and_keeps_the_order_of_the_set() -> None:
    kinds = ["x", "x", "x", "", "y", "", "x"]
    found = gathered("mine", [PromptRow(f"p{k}", kind) for k, kind in enumerate(kinds)])
    limited = [[row.prompt for row in found.limited(most)] for most in range(1, 9)]
    assert limited[:4] == [
        ["p0"],
        ["p0", "p3"],
        ["p0", "p3", "p4"],
        ["p0", "p1", "p3", "p4"],
    ]
    assert all(set(fewer) < set(more) for fewer, more in pairwise(limited[:7]))
    assert limited[6] == limited[7] == [row.prompt for row in found]
    with pytest.raises(ConfigError, match="a limit of 0 leaves no prompt"):
        found.limited(0)


def test_a_set_without_prompts_is_refused() -> None:
    with pytest.raises(DataError, match="mine holds no prompt"):
        gathered("mine", [PromptRow("  ")])


def test_a_part_is_a_category_and_another_names_those_there_are() -> None:
    rows = [PromptRow("a", "one"), PromptRow("b", "two")]
    assert part_of("mine", "", rows) == rows
    assert part_of("mine", "two", rows) == rows[1:]
    with pytest.raises(ConfigError, match="mine has no part 'three'; known: one, two"):
        part_of("mine", "three", rows)
