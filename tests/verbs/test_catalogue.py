from pathlib import Path

import pytest

from beholder._verbs import catalogue
from beholder.rewards import names, reward_class
from beholder.rewards._card import Accuracy, Parity, RewardCard

CARDS = [reward_class(name).card for name in names()]
FULL = RewardCard(
    name="full",
    paper="Nobody, 2026",
    measures="everything",
    weights_license="MIT",
    weights="nobody/full",
    score_range=(0, 1),
    aspects=("a",),
    accuracy=(Accuracy("Set", 61.5, "ties dropped", "table 2"),),
    parity=(Parity(against="it 1.0", error=0.002, spread=0.5, how="tiny weights"),),
    float_error=0.01,
    bf16_error=0.2,
    notes=("a fact",),
)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_card_names_its_paper_and_licences(card: RewardCard) -> None:
    text = catalogue.card_text(card)
    assert card.paper in text
    assert f"code {card.code_license}, weights {card.weights_license}" in text


def test_a_card_tells_all_it_holds() -> None:
    assert catalogue.card_text(FULL).splitlines() == [
        "full",
        "  measures   everything",
        "  paper      Nobody, 2026",
        "  licence    code Apache-2.0, weights MIT",
        "  weights    nobody/full",
        "  range      0 to 1, differentiable",
        "  aspects    a",
        "  accuracy   Set 61.5 % (ties dropped; table 2)",
        "  parity     0.002 at a spread of 0.5 against it 1.0 (tiny weights)",
        "  precision  float pixels within 0.01, bf16 within 0.2 of the scores' standard deviation, "
        "on a small model",
        "  note       a fact",
    ]


def test_the_table_has_a_line_for_each_reward() -> None:
    lines = catalogue.table_text([FULL, *CARDS]).splitlines()
    assert len(lines) == 2 + 1 + len(CARDS)
    assert lines[2].split("  ")[0] == "full"
    assert "61.5 % Set" in lines[2]
    assert lines[2].endswith("0.004")


def test_ranges_are_told_in_words() -> None:
    inf = float("inf")
    ranges = {
        (-inf, inf): "any number",
        (0.0, inf): "from 0",
        (-inf, 0.0): "up to 0",
        (-1.0, 1.0): "-1 to 1",
    }
    for score_range, text in ranges.items():
        card = RewardCard(name="x", paper="x", measures="x", score_range=score_range)
        assert f"range      {text}, " in catalogue.card_text(card)


def test_the_page_of_the_docs_is_that_of_the_cards() -> None:
    page = Path(__file__).parents[2] / "docs" / "rewards.md"
    assert page.read_text(encoding="utf-8") == f"{catalogue.page(CARDS)}\n", "run `make catalogue`"
