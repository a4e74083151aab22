import pytest
import torch

from beholder.errors import ConfigError
from beholder.rewards._vlm.sizes import (
    EMBEDDINGS,
    QWEN2_VL_2B,
    QWEN2_VL_7B,
    Shape,
    Sizes,
    dtype_named,
    model_config,
    shape_of,
    sized,
    with_vocabulary,
)
from tests.rewards._vlm import tiny_qwen


@pytest.mark.parametrize(
    ("sizes", "millions", "tied"), [(QWEN2_VL_7B, 8291, False), (QWEN2_VL_2B, 2208, True)]
)
def test_published_sizes_have_the_published_number_of_weights(
    sizes: Sizes, millions: int, tied: bool
) -> None:
    from transformers import Qwen2VLForConditionalGeneration

    with torch.device("meta"):
        model = Qwen2VLForConditionalGeneration(model_config(sizes))
    head = 0 if not tied else model.lm_head.weight.numel()
    assert (sum(p.numel() for p in model.parameters()) - head) // 10**6 == millions


def test_given_sizes_replace_single_values_of_the_base() -> None:
    sizes = sized(QWEN2_VL_7B, {"text": {"num_hidden_layers": 2}}, "x")
    assert sizes["text"]["num_hidden_layers"] == 2
    assert sizes["text"]["hidden_size"] == 3584
    assert sizes["vision"] == QWEN2_VL_7B["vision"]
    with pytest.raises(ConfigError, match="config of x has no option 'layers'"):
        sized(QWEN2_VL_7B, {"layers": 2}, "x")


def test_the_vocabulary_is_that_of_the_weights() -> None:
    state = {EMBEDDINGS: torch.zeros(5, 2)}
    assert with_vocabulary(QWEN2_VL_7B, state)["text"]["vocab_size"] == 5
    assert with_vocabulary(QWEN2_VL_7B, {})["text"]["vocab_size"] == 152_064


def test_the_shape_is_that_of_the_config() -> None:
    shape = shape_of(model_config(tiny_qwen.CONFIG))
    assert shape == Shape(width=32, patch=14, frames=2, merge=2, head=16)


def test_sizes_that_do_not_fit_together_are_refused() -> None:
    wide = {**tiny_qwen.CONFIG, "vision": {**tiny_qwen.VISION, "hidden_size": 64}}
    with pytest.raises(ConfigError, match="text states are 32 wide, picture tokens 64"):
        model_config(wide)
    text = {**tiny_qwen.TEXT, "num_attention_heads": 4}
    with pytest.raises(ConfigError, match="half the width of an attention head, 4"):
        model_config({**tiny_qwen.CONFIG, "text": text})
    with pytest.raises(ConfigError, match="the text model has no option 'layers'"):
        model_config({**tiny_qwen.CONFIG, "text": {**tiny_qwen.TEXT, "layers": 2}})
    odd = {**tiny_qwen.TEXT, "hidden_size": "wide"}
    with pytest.raises(ConfigError, match="no sizes of a Qwen2-VL"):
        model_config({**tiny_qwen.CONFIG, "text": odd})


def test_a_dtype_is_known_by_its_name() -> None:
    assert dtype_named("bfloat16") == torch.bfloat16
    for name in ("int8", "float3", "nn"):
        with pytest.raises(ConfigError, match="floating-point type"):
            dtype_named(name)
