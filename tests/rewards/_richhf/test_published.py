import pytest
import torch

from beholder._published.weights import renamed
from beholder.errors import WeightsError
from beholder.rewards._richhf.published import own_name, recognises

KEYS = {
    "vit.embeddings.cls_token": "vision.vit.embeddings.cls_token",
    "vit.encoder.layer.3.attention.attention.query.weight": (
        "vision.vit.layers.3.attention.q_proj.weight"
    ),
    "vit.encoder.layer.3.attention.output.dense.bias": "vision.vit.layers.3.attention.o_proj.bias",
    "vit.encoder.layer.3.intermediate.dense.weight": "vision.vit.layers.3.mlp.fc1.weight",
    "vit.encoder.layer.3.output.dense.weight": "vision.vit.layers.3.mlp.fc2.weight",
    "vit.layers.3.attention.k_proj.weight": "vision.vit.layers.3.attention.k_proj.weight",
    "t5.encoder.block.0.layer.0.SelfAttention.q.weight": (
        "joint.t5.encoder.block.0.layer.0.SelfAttention.q.weight"
    ),
    "visual_token_projection.weight": "visual_token_projection.weight",
    "heatmap_predictor.misalignment.conv_layers.5.scale": (
        "heatmap_predictor.misalignment.entrance.1.norm.scale"
    ),
    "heatmap_predictor.deconv_layers.2.0.weight": (
        "heatmap_predictor.doublings.2.transposed.weight"
    ),
    "heatmap_predictor.misalignment.conv_layers2.1.4.scale": (
        "heatmap_predictor.misalignment.doublings.1.residual_norm.scale"
    ),
    "score_predictor.overall.conv_layers.16.scale": (
        "score_predictor.overall.convolutions.5.norm.scale"
    ),
    "score_predictor.linear_layers.2.bias": "score_predictor.second.bias",
}


@pytest.mark.parametrize(("theirs", "ours"), KEYS.items())
def test_a_published_key_has_one_name_here(theirs: str, ours: str) -> None:
    assert own_name(theirs) == ours
    assert own_name(f"module.{theirs}") == ours
    assert own_name(ours) == ours


def test_the_pooler_is_dropped() -> None:
    assert own_name("vit.pooler.dense.weight") is None


def test_a_key_that_comes_twice_is_refused() -> None:
    state = {"module.t5.lm_head.weight": torch.zeros(1), "t5.lm_head.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match="two keys"):
        renamed(state, own_name)


def test_a_published_file_is_known_by_its_towers() -> None:
    shapes = dict.fromkeys(("module.vit.x", "module.t5.y", "visual_token_projection.b"), (1,))
    assert recognises(shapes)
    assert not recognises({"vision.vit.layernorm.weight": (1,)})
