from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import beholder
from beholder._published.weights import Published
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._blip import fused
from beholder.rewards.cyclereward import own_name, recognises
from tests.rewards._blip.published import fill, own_scores, published_scores
from tests.rewards._blip.small import SIZES, VOCABULARY
from tests.rewards.contract import check_reward
from tests.rewards.tinies import imagereward
from tests.rewards.tinies.cyclereward import published_state, tiny


def test_contract() -> None:
    check_reward(tiny())


def test_scores_are_those_of_the_published_package(tmp_path: Path) -> None:
    with_published_head = tiny(config=SIZES)
    torch.save(fill(published_state(with_published_head)), tmp_path / "CycleReward-Combo.pth")
    reward = beholder.load(
        "cyclereward",
        weights=tmp_path / "CycleReward-Combo.pth",
        config=SIZES,
        tokenizer=VOCABULARY,
    )
    expected = published_scores("cyclereward")
    assert expected.std() > 0.15
    exact = own_scores(reward, fitted=True)
    torch.testing.assert_close(exact, expected, atol=5e-06, rtol=0)
    # the resize differs by one grey level on less than 1 % of values
    torch.testing.assert_close(own_scores(reward), expected, atol=0.003, rtol=0)


def test_the_head_has_gelu_between_its_layers() -> None:
    layers = list(tiny(config=SIZES).mlp)
    assert [type(layer) for layer in layers] == [*[nn.Linear, nn.GELU] * 4, nn.Linear]
    widths = [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]
    assert widths == [1024, 128, 64, 16, 1]
    assert all(a.out_features == b.in_features for a, b in pairwise(layers[::2]))


@pytest.mark.parametrize(("variant", "file"), [("combo", "Combo"), ("t2i", "T2I"), ("i2t", "I2T")])
def test_a_variant_chooses_what_is_fetched(
    variant: str, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_file(published_state(tiny()), path)

    def fetch(published: Published) -> Path:
        raise WeightsError(f"offline: {published.repo}")

    monkeypatch.setattr(fused, "fetch", fetch)
    with pytest.raises(WeightsError, match=f"carolineec/CycleReward-{file}$"):
        beholder.load("cyclereward", variant=variant)
    tiny(weights=path, variant=variant)


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match="combo, t2i, i2t; got 'i2i'"):
        tiny(variant="i2i")


def test_its_file_is_recognised_and_no_other() -> None:
    state = published_state(tiny())
    assert recognises({key: tuple(value.shape) for key, value in state.items()})
    other = imagereward.published_state(imagereward.tiny())
    assert not recognises({key: tuple(value.shape) for key, value in other.items()})
    names = {own_name(key) for key in state} - {None}
    assert names == {k for k in tiny().state_dict() if not k.endswith("_extra_state")}
