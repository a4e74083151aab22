from beholder.rewards import load, reward_class
from beholder.rewards._card import RewardCard, range_text
from beholder.rewards._card_sheet import card_sheet


def test_a_card_shows_what_it_has_and_leaves_out_what_it_has_not() -> None:
    shown = card_sheet(RewardCard(name="mine", paper="none", score_range=(0.0, 1.0))).text()
    assert shown.splitlines() == [
        "mine",
        "paper     none",
        "range     0 to 1; higher is better",
        "prompt    needed",
        "gradient  reaches the pixels",
        "licence   code Apache-2.0, weights none",
    ]


def test_published_figures_stand_with_their_protocol() -> None:
    card = reward_class("hps").card
    shown = card_sheet(card).text()
    first = card.accuracy[0]
    assert f"{first.percent:g} % on {first.data} ({first.protocol})" in shown
    assert all(note in shown.replace("…", "") or len(note) > 400 for note in card.notes)


def test_a_reward_shows_its_card_in_a_notebook() -> None:
    shown = load("tiny")._repr_html_()
    assert "tiny: " in shown
    assert " weights" in shown
    assert "-1 to 1; higher is better" in shown


def test_every_end_of_a_range_has_its_words() -> None:
    infinite = float("inf")
    ranges = [(0.0, 1.0), (0.0, infinite), (-infinite, 0.0), (-infinite, infinite)]
    said = [range_text(RewardCard(name="", paper="", score_range=each)) for each in ranges]
    assert said == ["0 to 1", "from 0", "up to 0", "any number"]
