import pytest

from beholder.rewards._prompts import (
    MAX_PROMPT_CHARACTERS,
    distinct,
    prompt_fault,
    spread_prompts,
)

SURROGATE = "a \ud800 cat"


@pytest.mark.parametrize(
    ("prompt", "fault"),
    [
        ("a cat", None),
        ("", None),
        ("кот 🐈 \x00", None),
        ("x" * MAX_PROMPT_CHARACTERS, None),
        ("x" * (MAX_PROMPT_CHARACTERS + 1), "20001 characters, at most 20000 are accepted"),
        (SURROGATE, "it holds a lone surrogate and is not valid Unicode"),
        (None, "expected text, got NoneType"),
        (b"a cat", "expected text, got bytes"),
    ],
)
def test_a_prompt_that_cannot_be_scored_says_why(prompt: object, fault: str | None) -> None:
    assert prompt_fault(prompt) == fault


def test_prompts_are_spread_over_rows() -> None:
    assert spread_prompts("a", 3, needed=True) == ["a", "a", "a"]
    assert spread_prompts(["a", "b"], 2, needed=True) == ["a", "b"]
    assert spread_prompts(None, 2, needed=False) == ["", ""]


def test_distinct_values_keep_their_order_and_rebuild_the_input() -> None:
    values = ["b", "a", "b", "", "a"]
    unique, row = distinct(values)
    assert unique == ["b", "a", ""]
    assert row.tolist() == [0, 1, 0, 2, 1]
    assert [unique[k] for k in row] == values
    assert distinct([])[0] == []
