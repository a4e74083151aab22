import pytest

from beholder.annotation.sources._scenes.facts import Fact, alignment


def test_a_fact_is_altered_if_the_prompt_says_otherwise() -> None:
    assert not Fact((0,), "noun", "tiger", "tiger").is_altered
    assert Fact((0,), "noun", "tiger", "apple").is_altered
    assert Fact((), "noun", "", "apple").is_altered


def test_alignment_is_the_share_that_holds_and_a_noun_counts_twice() -> None:
    right = [Fact((0,), "noun", "tiger", "tiger"), Fact((0,), "count", "2", "2")]
    wrong_colour = Fact((0,), "colour", "red", "blue")
    wrong_noun = Fact((1,), "noun", "key", "dog")
    assert alignment(right) == 1
    assert alignment([*right, wrong_colour]) == pytest.approx(3 / 4)
    assert alignment([*right, wrong_colour, wrong_noun]) == pytest.approx(3 / 6)
    assert alignment([wrong_noun]) == 0
