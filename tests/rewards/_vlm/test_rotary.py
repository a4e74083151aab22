from typing import Any

import pytest
import torch

from beholder.errors import ConfigError
from beholder.rewards._vlm.rotary import check_rotary, grid_angles, renew_rotary
from beholder.rewards._vlm.sizes import model_config
from tests.rewards._vlm import tiny_qwen


def model() -> Any:
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

    return Qwen2VLModel(model_config(tiny_qwen.CONFIG))


def test_renewed_frequencies_are_exact_after_a_cast() -> None:
    exact, cast = model().language_model, model().to(torch.bfloat16).language_model
    assert not torch.equal(cast.rotary_emb.inv_freq.float(), exact.rotary_emb.inv_freq)
    renew_rotary(cast, "float32")
    assert torch.equal(cast.rotary_emb.inv_freq, exact.rotary_emb.inv_freq)


def test_rounded_frequencies_are_those_of_a_model_cast_as_a_whole() -> None:
    rounded, cast = model().language_model, model().to(torch.bfloat16).language_model
    renew_rotary(rounded, "bfloat16")
    assert rounded.rotary_emb.inv_freq.dtype == torch.float32
    assert torch.equal(rounded.rotary_emb.inv_freq, cast.rotary_emb.inv_freq.float())


def test_the_angles_of_patches_are_those_of_transformers() -> None:
    from transformers.vision_utils import get_vision_position_ids

    places = get_vision_position_ids(torch.tensor([[1, 6, 4]]), 2)
    expected = model().visual.rotary_pos_emb(torch.zeros(24, 32), places)
    for ours, theirs in zip(grid_angles(6, 4, 2, 16, "float32"), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_rounded_angles_are_near_the_exact_ones() -> None:
    exact, rounded = (grid_angles(6, 4, 2, 16, rotary) for rotary in ("float32", "bfloat16"))
    for ours, near in zip(rounded, exact, strict=True):
        torch.testing.assert_close(ours, near, atol=0.02, rtol=0)
        assert torch.equal(ours, ours.bfloat16().float())
        assert not torch.equal(ours, near)


def test_an_unknown_type_is_refused() -> None:
    assert check_rotary("bfloat16") == "bfloat16"
    with pytest.raises(ConfigError, match="rotary is one of float32, bfloat16; got 'float16'"):
        check_rotary("float16")
