from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import beholder
from beholder.errors import ConfigError, WeightsError
from beholder.rewards.imagereward import MEAN, STD, own_name, recognises
from tests.rewards._blip.published import fill, own_scores, published_scores
from tests.rewards._blip.small import SIZES, VOCABULARY
from tests.rewards.contract import check_reward
from tests.rewards.tinies import blipscore, cyclereward
from tests.rewards.tinies.imagereward import CONFIG, published_state, tiny


def test_contract() -> None:
    check_reward(tiny())


def test_scores_are_those_of_the_published_package(tmp_path: Path) -> None:
    with_published_head = tiny(config=SIZES)
    save_file(fill(published_state(with_published_head)), tmp_path / "ImageReward.safetensors")
    reward = beholder.load(
        "imagereward",
        weights=tmp_path / "ImageReward.safetensors",
        config=SIZES,
        tokenizer=VOCABULARY,
    )
    expected = published_scores("imagereward")
    assert expected.std() > 0.4
    exact = own_scores(reward, fitted=True)
    torch.testing.assert_close(exact, expected, atol=2e-05, rtol=0)
    # the resize differs by one grey level on less than 1 % of values
    torch.testing.assert_close(own_scores(reward), expected, atol=0.01, rtol=0)


def test_the_head_has_dropout_and_no_activations() -> None:
    reward = tiny(config=SIZES)
    kinds = [type(layer) for layer in reward.mlp]
    assert kinds == [*[nn.Linear, nn.Dropout] * 3, nn.Linear, nn.Linear]
    assert [layer.p for layer in reward.mlp if isinstance(layer, nn.Dropout)] == [0.2, 0.2, 0.1]
    widths = [layer.out_features for layer in reward.mlp if isinstance(layer, nn.Linear)]
    assert widths == [1024, 128, 64, 16, 1]


def test_scores_are_standardised_with_the_published_constants() -> None:
    reward = tiny()
    with torch.no_grad():
        nn.init.zeros_(reward.get_parameter("mlp.7.weight"))
        nn.init.constant_(reward.get_parameter("mlp.7.bias"), MEAN + 2 * STD)
    score = reward.score(torch.rand(1, 3, 32, 32), "a cat").total
    torch.testing.assert_close(score, torch.tensor([2.0]))


def test_its_file_is_recognised_and_no_other() -> None:
    state = published_state(tiny())
    assert recognises({key: tuple(value.shape) for key, value in state.items()})
    other = cyclereward.published_state(cyclereward.tiny())
    assert not recognises({key: tuple(value.shape) for key, value in other.items()})
    names = {own_name(key) for key in state} - {None}
    assert names == {k for k in tiny().state_dict() if not k.endswith("_extra_state")}


def test_a_new_one_starts_from_the_encoders_of_blips_own_file_with_the_papers_head(
    tmp_path: Path,
) -> None:
    blip = blipscore.tiny()
    file = tmp_path / "model_large.pth"
    torch.save({"model": blipscore.published_state(blip)}, file)
    options: dict[str, Any] = {"config": CONFIG, "tokenizer": VOCABULARY}
    reward = beholder.load("imagereward", backbone=file, **options)
    own, told = reward.state_dict(), blip.state_dict()
    encoders = [name for name in own if name.startswith("blip.")]
    assert all(torch.equal(own[name], told[name]) for name in encoders)
    linear = [layer for layer in reward.modules() if isinstance(layer, nn.Linear)][-5:]
    assert all((layer.bias == 0).all() for layer in linear)
    drawn = torch.cat([layer.weight.detach().flatten() for layer in linear])
    assert drawn.std().item() * (linear[0].in_features + 1) == pytest.approx(1, abs=0.1)


def test_a_backbone_beside_weights_or_without_encoders_is_refused(tmp_path: Path) -> None:
    options: dict[str, Any] = {"config": CONFIG, "tokenizer": VOCABULARY}
    with pytest.raises(ConfigError, match="either weights or a backbone"):
        beholder.load("imagereward", backbone="a.pth", weights="b.pt", **options)
    torch.save({"model": {"temp": torch.tensor(0.07)}}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="blip"):
        beholder.load("imagereward", backbone=tmp_path / "empty.pth", **options)
