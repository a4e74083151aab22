import ast

import pytest

from beholder.rewards import RewardCard, names, reward_class
from handbook.pages.rewards import example, pages, reward_page

CARDS = [reward_class(name).card for name in names()]


def test_there_is_a_page_for_each_reward() -> None:
    assert sorted(pages()) == [f"rewards/{name}.md" for name in names()]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_page_has_every_figure_and_note_of_its_card(card: RewardCard) -> None:
    page = reward_page(card)
    assert all(f"{one.percent:g} % |" in page for one in card.accuracy)
    assert all(f"| {one.error:.1g} | {one.spread:.2g} |" in page for one in card.parity)
    assert page.count("\n- ") == len(card.notes)
    assert card.weights_license in page.replace("\\", "")


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_an_example_is_python_and_asks_for_a_prompt_where_one_counts(card: RewardCard) -> None:
    text = example(card)
    ast.parse(text)
    assert ('"a red fox"' in text) == card.needs_prompt
    assert ("scores.aspects[" in text) == bool(card.aspects)
