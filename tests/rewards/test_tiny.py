import numpy as np
import pytest
import torch

import beholder
from beholder.errors import ConfigError
from beholder.rewards.tiny import Tiny, build
from beholder.types import ASPECTS
from tests.rewards.contract import check_reward


def pictures(rows: int) -> torch.Tensor:
    return torch.rand(rows, 3, 40, 56, generator=torch.Generator().manual_seed(1))


def test_contract() -> None:
    check_reward(build())


def test_its_weights_are_the_same_on_every_machine() -> None:
    first = np.random.PCG64(0).random_raw(1)[0]
    expected = 0.25 * (int(first) / 2**63 - 1)  # the top 53 bits of the first draw, in [-1, 1)
    weight = build().patches.weight.flatten()[0].item()
    assert weight == pytest.approx(expected, abs=1e-7)
    assert first == 11749869230777074271


def test_neither_torch_s_nor_numpy_s_global_seed_changes_it() -> None:
    torch.manual_seed(1)
    before = build().state_dict()
    torch.manual_seed(2)
    after = build().state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(build(seed=1).patches.weight, before["patches.weight"])


def test_it_has_a_few_thousand_weights_and_no_download() -> None:
    reward = beholder.load("tiny")
    assert isinstance(reward, Tiny)
    assert 1_000 < sum(p.numel() for p in reward.parameters()) < 9_000


def test_total_is_overall_and_the_aspects_are_those_of_mps() -> None:
    scores = build().score(pictures(3), "a cat")
    assert tuple(scores.aspects) == ASPECTS
    assert torch.equal(scores.total, scores.aspects["overall"])


def test_pictures_words_and_letters_all_move_every_score() -> None:
    reward = build()
    base = torch.stack(list(reward.score(pictures(1), "a red cat").aspects.values()))
    other_picture = torch.stack(list(reward.score(1 - pictures(1), "a red cat").aspects.values()))
    other_word = torch.stack(list(reward.score(pictures(1), "a red dog").aspects.values()))
    other_letter = torch.stack(list(reward.score(pictures(1), "a red cut").aspects.values()))
    for other in (other_picture, other_word, other_letter):
        assert ((other - base).abs() > 1e-3).all()


def test_scores_spread_over_their_range() -> None:
    flat = torch.rand(64, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    total = build().score(flat.expand(-1, -1, 32, 32), "a cat").total
    assert total.std() > 0.1
    assert total.abs().max() < 1


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0"])
def test_a_seed_that_is_no_natural_number_is_refused(seed: object) -> None:
    with pytest.raises(ConfigError, match="whole number from 0"):
        Tiny.from_options({"seed": seed})


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ConfigError, match=r"tiny has no option 'sed'; it knows seed"):
        Tiny.from_options({"sed": 1})
