import pytest
import torch
from torch import nn

from beholder.errors import ConfigError
from beholder.rewards._towers import Features, build_towers
from tests.rewards import tiny_towers

FEATURES = Features(torch.arange(12.0).reshape(2, 3, 2), torch.tensor([[1.0], [2.0]]))


def test_rows_may_be_taken_in_any_order_and_twice() -> None:
    taken = FEATURES.rows(torch.tensor([1, 0, 1]))
    assert len(taken) == 3
    assert taken.pooled.flatten().tolist() == [2, 1, 2]
    assert torch.equal(taken.tokens, FEATURES.tokens[[1, 0, 1]])


def test_padding_becomes_zero_and_the_rest_stays() -> None:
    padding = torch.tensor([[False, False, True], [False, True, True]])
    bare = FEATURES.without(padding)
    assert bare.tokens.tolist() == [
        [[0, 1], [2, 3], [0, 0]],
        [[6, 7], [0, 0], [0, 0]],
    ]
    assert torch.equal(bare.pooled, FEATURES.pooled)


def test_features_change_precision_together() -> None:
    half = FEATURES.to("cpu", torch.float16)
    assert (half.tokens.dtype, half.pooled.dtype) == (torch.float16, torch.float16)


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="clip, open_clip, siglip, timm_text"):
        build_towers({"kind": "blip"})


def test_batch_norms_keep_their_statistics_in_train_mode() -> None:
    towers = build_towers(tiny_towers.timm_text()).train()
    norms = [m for m in towers.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    assert towers.training
    pixel_values = torch.randn(3, 3, 64, 64)
    before = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
    alone = towers.image_backbone(pixel_values[:1]).tokens
    torch.testing.assert_close(towers.image_backbone(pixel_values).tokens[:1], alone)
    after = [norm.running_mean for norm in norms if norm.running_mean is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
