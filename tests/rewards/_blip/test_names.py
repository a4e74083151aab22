import pytest

from beholder.rewards._blip.encoders import LARGE, BlipEncoders, blip_sizes
from beholder.rewards._blip.names import encoder_name, sizes_told
from tests.rewards._blip.small import SIZES, published_blip

BLOCK = "blip.vision.encoder.layers.11"
KEYS = {
    "visual_encoder.cls_token": "blip.vision.embeddings.class_embedding",
    "visual_encoder.pos_embed": "blip.vision.embeddings.position_embedding",
    "visual_encoder.patch_embed.proj.bias": "blip.vision.embeddings.patch_embedding.bias",
    "visual_encoder.norm.weight": "blip.vision.post_layernorm.weight",
    "visual_encoder.blocks.11.norm1.weight": f"{BLOCK}.layer_norm1.weight",
    "visual_encoder.blocks.11.norm2.bias": f"{BLOCK}.layer_norm2.bias",
    "visual_encoder.blocks.11.attn.qkv.weight": f"{BLOCK}.self_attn.qkv.weight",
    "visual_encoder.blocks.11.attn.proj.bias": f"{BLOCK}.self_attn.projection.bias",
    "visual_encoder.blocks.11.mlp.fc2.weight": f"{BLOCK}.mlp.fc2.weight",
    "vision_model.encoder.layers.11.mlp.fc2.weight": f"{BLOCK}.mlp.fc2.weight",
    "text_encoder.encoder.layer.3.crossattention.self.key.weight": (
        "blip.text.encoder.layer.3.crossattention.self.key.weight"
    ),
    "text_encoder.embeddings.position_ids": None,
    "itm_head.weight": "itm_head.weight",
}


@pytest.mark.parametrize(("key", "name"), KEYS.items())
def test_a_published_key_has_its_name(key: str, name: str | None) -> None:
    assert encoder_name(key) == name


def test_the_names_of_a_whole_model_are_found_again() -> None:
    state = {f"blip.{k}": v for k, v in BlipEncoders(SIZES).state_dict().items()}
    keys = published_blip(state)
    assert {encoder_name(key) for key in keys} == set(state)


def test_weights_tell_the_sizes_of_the_picture_encoder() -> None:
    vision = {"hidden_size": 128, "num_attention_heads": 2, "num_hidden_layers": 3}
    sizes = blip_sizes({**SIZES, "vision": {**SIZES["vision"], **vision}})
    state = BlipEncoders(sizes).state_dict()
    told = sizes_told({f"blip.{k}": tuple(v.shape) for k, v in state.items()})
    assert told == {"vision": sizes["vision"], "text": LARGE["text"]}


def test_other_weights_tell_nothing() -> None:
    assert sizes_told({"visual.proj": (3, 4)}) == LARGE
