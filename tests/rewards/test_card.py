import pytest

from beholder.rewards import names, reward_class
from beholder.rewards._card import RewardCard

MADE_OF_OTHERS = {"ensemble", "smoothed"}


def cards() -> list[RewardCard]:
    return [reward_class(name).card for name in names()]


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.name)
def test_a_card_says_what_a_number_means(card: RewardCard) -> None:
    assert card.measures
    assert card.paper
    assert card.code_license
    assert card.weights_license
    assert card.notes
    low, high = card.score_range
    assert low < high
    if card.weights and card.name not in MADE_OF_OTHERS:
        assert card.weights_license != "none"


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.name)
def test_every_figure_comes_with_its_protocol_and_source(card: RewardCard) -> None:
    for figure in card.accuracy:
        assert 0 < figure.percent < 100
        assert figure.data
        assert figure.protocol
        assert figure.source
    for parity in card.parity:
        assert 0 <= parity.error < parity.spread
        assert parity.against
        assert parity.how
