"""CLIP's picture embeddings against transformers' model, in all three layouts."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from beholder.errors import ConfigError, WeightsError
from beholder.eval.extractors import load
from beholder.eval.extractors._base import Extractor

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]


def pixels() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def peer() -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=256,
        image_size=64,
        patch_size=16,
        projection_dim=48,
    )
    model = transformers.CLIPVisionModelWithProjection(config).eval()
    generator = torch.Generator().manual_seed(4)
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        is_norm = "norm" in name and name.endswith("weight")
        value.data = 1 + 0.1 * noise if is_norm else 0.1 * noise
    return model


@pytest.fixture(scope="module")
def file(peer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    peer.save_pretrained(folder)
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def extractor(file: Path) -> Extractor:
    return load("clip", file, heads=2)


def openai_state(peer: Any) -> dict[str, Tensor]:
    """The peer's weights as OpenAI names and lays them out, beside some of a text encoder."""
    state = peer.state_dict()
    body = "vision_model."
    found = {
        "visual.class_embedding": state[f"{body}embeddings.class_embedding"],
        "visual.positional_embedding": state[f"{body}embeddings.position_embedding.weight"],
        "visual.conv1.weight": state[f"{body}embeddings.patch_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T.contiguous(),
        "token_embedding.weight": torch.zeros(5, 3),
        "logit_scale": torch.tensor(4.6),
    }
    for part in ("weight", "bias"):
        found[f"visual.ln_pre.{part}"] = state[f"{body}pre_layrnorm.{part}"]
        found[f"visual.ln_post.{part}"] = state[f"{body}post_layernorm.{part}"]
        for number in range(2):
            theirs, ours = f"visual.transformer.resblocks.{number}.", f"{body}encoder.layers."
            ours += f"{number}."
            qkv = [state[f"{ours}self_attn.{letter}_proj.{part}"] for letter in "qkv"]
            found[f"{theirs}attn.in_proj_{part}"] = torch.cat(qkv)
            found[f"{theirs}attn.out_proj.{part}"] = state[f"{ours}self_attn.out_proj.{part}"]
            found[f"{theirs}mlp.c_fc.{part}"] = state[f"{ours}mlp.fc1.{part}"]
            found[f"{theirs}mlp.c_proj.{part}"] = state[f"{ours}mlp.fc2.{part}"]
            for norm in (1, 2):
                found[f"{theirs}ln_{norm}.{part}"] = state[f"{ours}layer_norm{norm}.{part}"]
    return found


def test_embeds_are_transformers_image_embeds_of_any_length(
    extractor: Extractor, peer: Any
) -> None:
    found = extractor(pixels(), ["embeds"])["embeds"]
    with torch.no_grad():
        expected = peer((pixels() / 255 - MEAN) / STD).image_embeds
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (found.norm(dim=1) - 1).abs().min() > 0.01


def test_openais_layout_gives_the_same_weights(
    extractor: Extractor, peer: Any, tmp_path: Path
) -> None:
    torch.save(openai_state(peer), tmp_path / "openai.pt")
    other = load("clip", tmp_path / "openai.pt", heads=2)
    assert other.weights_id == extractor.weights_id
    found, expected = (e(pixels(), ["embeds"])["embeds"] for e in (other, extractor))
    assert torch.equal(found, expected)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_openais_program_gives_its_weights(extractor: Extractor, peer: Any, tmp_path: Path) -> None:
    program = nested(openai_state(peer))
    torch.jit.script(program).save(str(tmp_path / "ViT.pt"))
    assert load("clip", tmp_path / "ViT.pt", heads=2).weights_id == extractor.weights_id


def test_the_size_is_that_of_the_positions(extractor: Extractor) -> None:
    assert extractor.identity == "clip-vit128x2/16@64px, 2 heads"
    assert dict(extractor.layers) == {"embeds": 48}
    assert extractor.prepare(torch.zeros(3, 30, 50, dtype=torch.uint8)).shape == (3, 64, 64)


def test_resizes_differ_on_wide_pictures(file: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    wide = torch.randint(0, 256, (3, 70, 99), dtype=torch.uint8, generator=generator)
    found = {
        r: load("clip", file, resize=r, heads=2).prepare(wide).float()
        for r in ("cmmd", "clip", "tf1")
    }
    assert (found["cmmd"] - found["clip"]).abs().mean() > 1  # half a pixel apart
    assert (found["cmmd"] - found["tf1"]).abs().mean() > 5  # stretched


@pytest.mark.parametrize(("heads", "activation"), [(4, "quick-gelu"), (2, "gelu")])
def test_other_heads_and_activations_are_those_of_transformers(
    heads: int, activation: str, file: Path, peer: Any, extractor: Extractor
) -> None:
    names = {"num_attention_heads": heads, "hidden_act": activation.replace("-", "_")}
    config = type(peer.config).from_dict(peer.config.to_dict() | names)
    model = type(peer)(config).eval()
    model.load_state_dict(peer.state_dict())
    with torch.no_grad():
        expected = model((pixels() / 255 - MEAN) / STD).image_embeds

    other = load("clip", file, heads=heads, activation=activation)

    found = other(pixels(), ["embeds"])["embeds"]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (found - extractor(pixels(), ["embeds"])["embeds"]).abs().max() > 1e-3
    assert other.weights_id == extractor.weights_id
    assert other.identity != extractor.identity


@pytest.mark.parametrize(("width", "heads"), [(768, 12), (1024, 16)])
def test_openais_widths_say_their_heads(width: int, heads: int, tmp_path: Path) -> None:
    save_clip(width, tmp_path / "clip.safetensors")
    known, same = (load("clip", tmp_path / "clip.safetensors", heads=n) for n in (None, heads))
    assert known.get_submodule("network.blocks.0.attn").heads == heads
    assert known.identity == same.identity == f"clip-vit{width}x1/8@8px"


@pytest.mark.parametrize("width", [1280, 1664])
def test_widths_that_openai_did_not_publish_are_not_guessed_at(width: int, tmp_path: Path) -> None:
    save_clip(width, tmp_path / "clip.safetensors")
    with pytest.raises(WeightsError, match=f"width {width}, but OpenAI's weights only"):
        load("clip", tmp_path / "clip.safetensors")
    extractor = load("clip", tmp_path / "clip.safetensors", heads=16, activation="gelu")
    assert extractor.identity == f"clip-vit{width}x1/8@8px, 16 heads, gelu"


def save_clip(width: int, path: Path) -> None:
    """One block without a hidden layer to speak of."""
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=16 if width > 1000 else 12,
        intermediate_size=4,
        image_size=8,
        patch_size=8,
        projection_dim=4,
    )
    save_file(transformers.CLIPVisionModelWithProjection(config).state_dict(), path)


def test_unknown_models_resizes_and_other_files_are_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown CLIP model 'RN50'; known are ViT-L/14@336px"):
        load("clip", model="RN50")
    with pytest.raises(ConfigError, match="resize must be one of cmmd, clip, tf1"):
        load("clip", file, resize="clean")
    with pytest.raises(ConfigError, match="activation must be one of quick-gelu, gelu; got 'relu'"):
        load("clip", file, heads=2, activation="relu")
    with pytest.raises(ConfigError, match="heads must divide the width 128, got 3"):
        load("clip", file, heads=3)
    torch.save({"visual.conv1.weight": torch.zeros(8, 3, 4, 4)}, tmp_path / "short.pt")
    with pytest.raises(WeightsError, match="lacks cls_token, pos_embed"):
        load("clip", tmp_path / "short.pt")


def test_the_published_file_is_pinned_and_not_fetched_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"3035c92b.*/ViT-L-14-336px\.pt is not at"):
        load("clip")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "ViT-L-14-336px.pt").write_bytes(b"another")
    with pytest.raises(WeightsError, match="expected 3035c92b"):
        load("clip")


def nested(state: dict[str, Tensor]) -> nn.Module:
    """A module whose state dict is `state`."""
    root = nn.Module()
    for name, value in state.items():
        module = root
        *path, last = name.split(".")
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.register_parameter(last, nn.Parameter(value.clone()))
    return root
