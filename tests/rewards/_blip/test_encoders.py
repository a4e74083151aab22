from typing import Any

import pytest
import torch

from beholder.errors import ConfigError
from beholder.rewards._blip.encoders import (
    LARGE,
    BlipEncoders,
    blip_preprocess,
    blip_sizes,
    run_head,
)
from tests.rewards._blip.small import SIZES


def encoders() -> BlipEncoders:
    torch.manual_seed(0)
    return BlipEncoders(SIZES).eval()


def test_the_published_sizes_are_vit_large_and_bert_base() -> None:
    with torch.device("meta"):
        model = BlipEncoders(LARGE)
    # 446.7 M with the head and the projections: Xu et al.'s model counted in its own package
    counted = sum(p.numel() for p in model.parameters())
    head = sum(a * b + b for a, b in ((768, 1024), (1024, 128), (128, 64), (64, 16), (16, 1)))
    projections = (768 + 1) * 256 + (1024 + 1) * 256
    assert counted + head + projections == pytest.approx(446.7e6, abs=5e4)
    assert model.vision.config.layer_norm_eps == 1e-6
    assert model.text.config.layer_norm_eps == 1e-12


def test_padding_changes_no_state() -> None:
    model = encoders()
    seen = model.see(torch.randn(1, 3, 32, 32))
    ids = torch.tensor([[2, 5, 6, 3]])
    padded = torch.cat((ids, torch.zeros(1, 9, dtype=torch.long)), dim=1)
    for picture in (seen, None):
        alone = model.read(ids, ids > 0, picture)
        torch.testing.assert_close(model.read(padded, padded > 0, picture), alone)


def test_a_text_sees_the_picture_only_where_it_is_given() -> None:
    model = encoders()
    ids = torch.tensor([[2, 5, 6, 3]] * 2)
    states = model.read(ids, ids > 0, model.see(torch.randn(2, 3, 32, 32)))
    assert not torch.allclose(states[0], states[1], atol=1e-6)
    blind = model.read(ids, ids > 0)
    torch.testing.assert_close(blind[0], blind[1])
    assert not torch.allclose(blind[0], states[0], atol=1e-6)


def test_sizes_are_put_over_the_published_ones() -> None:
    sizes = blip_sizes({"vision": {"image_size": 384}})
    assert sizes["vision"]["image_size"] == 384
    assert sizes["text"] == LARGE["text"]
    assert LARGE["vision"]["image_size"] == 224
    assert blip_preprocess(sizes).size == 384


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"audio": {}}, "'audio'"),
        ({"vision": {"depth": 2}}, "'depth'.*num_hidden_layers"),
        ({"text": 12}, "names and numbers, got 12"),
        ({"text": {"hidden_size": 0}}, "hidden_size in text.*got 0"),
        ({"vision": {"patch_size": True}}, "patch_size in vision.*got True"),
    ],
)
def test_wrong_sizes_are_named(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        blip_sizes(given)


@pytest.mark.parametrize("part", ["vision", "text"])
def test_heads_that_do_not_divide_the_width_are_refused(part: str) -> None:
    sizes = {**SIZES, part: {**SIZES[part], "num_attention_heads": 5}}
    with pytest.raises(ConfigError, match="no BLIP has these sizes"):
        BlipEncoders(sizes)


def test_a_head_runs_in_its_own_precision() -> None:
    head = torch.nn.Linear(3, 2)
    for kept, states in ((torch.float32, torch.bfloat16), (torch.float64, torch.float64)):
        assert run_head(head.to(kept), torch.ones(1, 3, dtype=states)).dtype == kept
