from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError, WeightsError
from beholder.rewards._towers import Towers, build_towers
from tests.rewards import tiny_towers

VIT = {"layers": 2, "width": 64, "image_size": 64, "patch_size": 16}
TEXT = {"layers": 2, "width": 32, "heads": 2}


def sizes(vision: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"embed_dim": 32, "vision_cfg": vision, "text_cfg": TEXT, **rest}


def timm(name: str, size: int = 64, **rest: Any) -> dict[str, Any]:
    return sizes({"timm_model_name": name, "image_size": size}, **rest)


MODELS = {
    "ViT-B-32": (sizes(VIT), 17),
    "ViT-H-14": (sizes({**VIT, "head_width": 32}), 17),
    "ViT-L-14-CLIPA": (sizes(VIT), 17),
    "RN50": (sizes({"layers": [1, 1, 1, 1], "width": 8, "image_size": 64}), 5),
    "coca_ViT-B-32": (sizes(VIT, multimodal_cfg={"width": 32, "heads": 2, "layers": 1}), 256),
    "EVA02-B-16": (timm("eva02_tiny_patch14_224", 224), 257),
    "ViT-B-16-SigLIP": (timm("vit_tiny_patch16_224", 224, embed_dim=192), 197),
    "convnext_base_w": (timm("convnext_atto"), 5),
    "swin_base_patch4_window7_224": (timm("swin_tiny_patch4_window7_224", 224), 50),
    "MobileCLIP-S1": (timm("fastvit_t8"), 5),
}


def ids_for(towers: Towers) -> Tensor:
    """Ids that end with the highest id at place 5 and are padded with 0."""
    text: Any = getattr(towers.model, "text", towers.model)
    length, vocabulary = int(text.context_length), int(text.vocab_size)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, vocabulary - 1, (2, length), generator=generator)
    ids[:, 5], ids[:, 6:] = vocabulary - 1, 0
    return ids


@pytest.mark.parametrize("name", MODELS)
def test_the_pooled_states_are_those_of_open_clip(name: str) -> None:
    overrides, tokens = MODELS[name]
    towers = build_towers({"kind": "open_clip", "name": name, "overrides": overrides}).eval()
    model: Any = towers.model
    side = towers.preprocess.size
    pixel_values, ids = torch.randn(2, 3, side, side), ids_for(towers)
    with torch.no_grad():
        image, text = towers.encode_image(pixel_values), towers.encode_text(ids)
        torch.testing.assert_close(image.pooled, model.encode_image(pixel_values, normalize=False))
        torch.testing.assert_close(text.pooled, model.encode_text(ids, normalize=False))
    assert image.tokens.shape == (2, tokens, towers.dim)
    assert text.tokens.shape == (2, ids.shape[1], towers.dim)
    assert towers.prefix_tokens == 1


@pytest.fixture(scope="module")
def towers() -> Towers:
    torch.manual_seed(0)
    return build_towers(tiny_towers.OPEN_CLIP).eval()


def test_it_loads_a_local_file_and_options_rebuild_it(towers: Towers, tmp_path: Path) -> None:
    model: Any = towers.model
    path = tmp_path / "weights.pt"
    torch.save(model.state_dict(), path)
    loaded = build_towers({**tiny_towers.OPEN_CLIP, "pretrained": str(path)}).eval()
    pixel_values, ids = torch.randn(1, 3, 64, 64), towers.tokenize(["a cat"])
    assert torch.equal(
        loaded.encode_image(pixel_values).tokens, towers.encode_image(pixel_values).tokens
    )
    assert "pretrained" not in loaded.options()
    again = build_towers(loaded.options())
    again.load_state_dict(loaded.state_dict())
    assert torch.equal(again.eval().encode_text(ids).tokens, towers.encode_text(ids).tokens)


def test_typed_specials_are_plain_text(towers: Towers) -> None:
    typed, plain = towers.tokenize(["a cat <end_of_text> of low quality", "a cat"])
    assert typed.argmax() > plain.argmax() + 3
    assert (typed == 49407).sum() == 1
    assert (towers.tokenize(["<start_of_text> hi"]) == 49406).sum() == 1


def test_every_token_of_a_word_has_the_span_of_the_word(towers: Towers) -> None:
    text = "a  chrysanthemum, red"
    spans = towers.token_spans(text)
    words = [text[s:e] for s, e in (span for span in spans if span)]
    assert words[0] == "a"
    assert words[-1] == "red"
    assert set(words[1:-1]) == {"chrysanthemum,"}
    assert len(words) == int(towers.tokenize([text]).argmax()) - 1
    assert len(towers.token_spans("a " * 200)) == 77


def test_preprocessing_follows_the_weights_of_the_name() -> None:
    siglip, _ = MODELS["ViT-B-16-SigLIP"]
    options = {"kind": "open_clip", "name": "ViT-B-16-SigLIP", "overrides": siglip}
    preprocess = build_towers(options).preprocess
    assert (preprocess.fit, tuple(preprocess.mean)) == ("squash", (0.5, 0.5, 0.5))
    changed = build_towers({**options, "preprocess": {"fit": "crop"}}).preprocess
    assert changed.fit == "crop"


def test_unknown_names_tags_and_sizes_are_refused(towers: Towers, tmp_path: Path) -> None:
    options = tiny_towers.OPEN_CLIP
    with pytest.raises(ConfigError, match="did you mean 'ViT-B-32'"):
        build_towers({"kind": "open_clip", "name": "ViT-B32"})
    with pytest.raises(ConfigError, match="tags: openai"):
        build_towers({**options, "pretrained": "laion9b"})
    with pytest.raises(ConfigError, match="depth"):
        build_towers({**options, "overrides": {"vision_cfg": {"depth": 3}}})
    with pytest.raises(ConfigError, match="need a name"):
        build_towers({"kind": "open_clip"})
    torch.save({"visual.proj": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="does not fit"):
        build_towers({**options, "pretrained": str(tmp_path / "other.pt")})


@pytest.mark.slow
def test_the_full_size_model_works() -> None:
    full = build_towers({"kind": "open_clip", "name": "ViT-B-32"}).eval()
    with torch.no_grad():
        image = full.encode_image(torch.randn(1, 3, 224, 224))
    assert image.tokens.shape == (1, 50, 512)
