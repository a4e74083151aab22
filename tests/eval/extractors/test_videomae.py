import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from beholder.errors import ConfigError, DataError, MissingDependencyError, WeightsError
from beholder.eval.extractors import load
from beholder.eval.extractors.videomae import (
    PROTOCOLS,
    Shape,
    VideoTransformer,
    build,
    positions,
    shape_of,
)

SMALL = Shape(width=32, depth=2, hidden=48, tube=(2, 8, 8), classes=6, heads=4)
OPTIONS: dict[str, Any] = {"size": 16, "frames": 4, "heads": 4}


def random_state(shape: Shape = SMALL, seed: int = 0) -> dict[str, Tensor]:
    """Weights whose attention is far from uniform."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        empty = VideoTransformer(shape).state_dict()
    state = {}
    for name, value in empty.items():
        scale = 1.5 / math.sqrt(math.prod(value.shape[1:])) if value.ndim > 1 else 0.3
        state[name] = torch.randn(value.shape, generator=generator) * scale
        if "norm" in name and name.endswith("weight"):
            state[name] += 1
    return state


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save({"module": random_state()}, tmp_path / "vit_ssv2_ft.pth")
    return tmp_path / "vit_ssv2_ft.pth"


def clips(batch: int = 2, frames: int = 4, side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, frames, 3, side, side)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def transformers_model(mean_pooling: bool = True) -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers is the reference")
    config = transformers.VideoMAEConfig(
        image_size=16,
        patch_size=8,
        num_frames=4,
        tubelet_size=2,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        num_labels=6,
        layer_norm_eps=1e-6,
        use_mean_pooling=mean_pooling,
        qkv_bias=True,
    )
    return transformers.VideoMAEForVideoClassification(config).eval()


def with_our_weights(model: Any, state: dict[str, Tensor]) -> Any:
    """The model of transformers with weights in the authors' layout copied over one by one."""
    hidden = model.videomae
    model.fc_norm.eps = 1e-6
    pairs = [
        (hidden.embeddings.patch_embeddings.projection, "patch_embed.proj"),
        (model.fc_norm, "fc_norm"),
        (model.classifier, "head"),
    ]
    for number, layer in enumerate(hidden.encoder.layer):
        parts = dict(layer.named_modules())
        names = {
            "layernorm_before": "norm1",
            "layernorm_after": "norm2",
            "attention.output.dense": "attn.proj",
            "intermediate.dense": "mlp.fc1",
            "output.dense": "mlp.fc2",
        }
        pairs += [(parts[k], f"blocks.{number}.{v}") for k, v in names.items()]
        attention = layer.attention.attention
        rows = state[f"blocks.{number}.attn.qkv.weight"].chunk(3)
        for linear, weight in zip(
            (attention.query, attention.key, attention.value), rows, strict=True
        ):
            linear.weight.data.copy_(weight)
        attention.query.bias.data.copy_(state[f"blocks.{number}.attn.q_bias"])
        attention.value.bias.data.copy_(state[f"blocks.{number}.attn.v_bias"])
    for module, name in pairs:
        module.weight.data.copy_(state[f"{name}.weight"])
        module.bias.data.copy_(state[f"{name}.bias"])
    return model


def test_a_file_gives_what_transformers_gives_on_the_same_weights(file: Path) -> None:
    model = with_our_weights(transformers_model(), random_state())
    model.config.num_labels = 6
    batch = clips()
    seen: list[Tensor] = []
    model.classifier.register_forward_hook(lambda _m, given, _o: seen.append(given[0]))
    with torch.inference_mode():
        logits = model(pixel_values=batch.float() / 255).logits

    found = load("videomae", file, **OPTIONS)(batch, ["pooled", "logits"])

    torch.testing.assert_close(found["pooled"], seen[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["logits"], logits, rtol=1e-5, atol=1e-5)
    assert (found["logits"][0] - found["logits"][1]).abs().max() > 0.01


@pytest.mark.parametrize("mean_pooling", [True, False])
def test_a_folder_gives_what_transformers_gives(mean_pooling: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = transformers_model(mean_pooling)
    model.save_pretrained(tmp_path)
    batch = clips()
    seen: list[Tensor] = []
    model.classifier.register_forward_hook(lambda _m, given, _o: seen.append(given[0]))
    with torch.inference_mode():
        logits = model(pixel_values=batch.float() / 255).logits
    extractor = load("videomae", tmp_path)

    found = extractor(batch, ["pooled", "logits"])

    assert dict(extractor.layers) == {"pooled": 32, "logits": 6}
    assert extractor.resize == "cd-fvd, 16 pixels"
    assert torch.allclose(found["pooled"], seen[0], atol=1e-6)
    assert torch.allclose(found["logits"], logits, atol=1e-6)


def test_the_keys_are_those_of_the_authors_file() -> None:
    giant = Shape(width=1408, depth=40, hidden=6144, tube=(2, 14, 14), classes=174, heads=16)
    with torch.device("meta"):
        state = VideoTransformer(giant).state_dict()

    assert shape_of(state, "x") == giant
    block = {k.removeprefix("blocks.39.") for k in state if k.startswith("blocks.39.")}
    pairs = ("norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2")
    assert block == {f"{p}.{k}" for p in pairs for k in ("weight", "bias")} | {
        "attn.q_bias",
        "attn.v_bias",
        "attn.qkv.weight",
    }
    rest = {k for k in state if not k.startswith("blocks.")}
    assert rest == {
        f"{p}.{k}" for p in ("patch_embed.proj", "fc_norm", "head") for k in ("weight", "bias")
    }
    assert sum(v.numel() for v in state.values()) == pytest.approx(1.01e9, rel=0.01)


def test_positions_are_the_papers_sines_and_cosines() -> None:
    found = positions(5, 6)

    for place in range(5):
        for pair in range(3):
            angle = place / 10000 ** (2 * pair / 6)
            assert found[place, 2 * pair] == pytest.approx(math.sin(angle), abs=1e-7)
            assert found[place, 2 * pair + 1] == pytest.approx(math.cos(angle), abs=1e-7)


def test_cd_fvd_feeds_zero_to_one_and_imagenet_standardises() -> None:
    clip = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None].expand(1, 1, 3, 2, 2)

    plain = PROTOCOLS["cd-fvd"].volumes(clip)[0, :, 0, 0, 0]
    standard = PROTOCOLS["imagenet"].volumes(clip)[0, :, 0, 0, 0]

    assert plain.tolist() == pytest.approx([0, 0.2, 1])
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (np.array([0, 0.2, 1]) - mean) / deviation
    assert standard.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_frames_are_stretched(file: Path) -> None:
    frames = torch.tensor([0, 10, 20, 60], dtype=torch.uint8).repeat_interleave(16)
    prepared = build(file, size=32, frames=4, heads=4).prepare(frames.expand(4, 3, 32, 64))

    assert prepared.shape == (4, 3, 32, 32)
    assert prepared[0, 0, 0].tolist() == [0.0] * 8 + [10.0] * 8 + [20.0] * 8 + [60.0] * 8


def test_the_origin_says_the_protocol_and_the_weights(file: Path, tmp_path: Path) -> None:
    save_file(random_state(), tmp_path / "vit.safetensors")
    one = build(file, **OPTIONS)
    two = build(tmp_path / "vit.safetensors", "imagenet", **OPTIONS)

    assert one.identity == "videomae, 4 heads"
    assert one.resize == "cd-fvd, 16 pixels"
    assert two.resize == "imagenet, 16 pixels"
    assert one.weights_id == two.weights_id
    assert one.classes is None


def test_other_heads_are_another_origin(tmp_path: Path) -> None:
    small = random_state()
    torch.save(small, tmp_path / "small.pth")
    four, two = (build(tmp_path / "small.pth", size=16, frames=4, heads=n) for n in (4, 2))
    assert (
        four(clips(), ["pooled"])["pooled"] - two(clips(), ["pooled"])["pooled"]
    ).abs().max() > 0
    assert four.origin("pooled", "").digest != two.origin("pooled", "").digest
    assert (four.weights_id, four.resize) == (two.weights_id, two.resize)


def test_the_published_heads_given_or_not_are_one_origin(tmp_path: Path) -> None:
    shape = Shape(width=384, depth=1, hidden=8, tube=(2, 8, 8), classes=2, heads=6)
    torch.save(random_state(shape), tmp_path / "small.pth")
    known, same, other = (
        build(tmp_path / "small.pth", size=16, frames=4, heads=heads) for heads in (None, 6, 12)
    )
    assert known.identity == same.identity == "videomae"
    assert other.identity == "videomae, 12 heads"


def test_a_folder_of_other_settings_is_another_origin(tmp_path: Path) -> None:
    torch.manual_seed(0)
    transformers_model().save_pretrained(tmp_path)
    first = build(tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(
        text.replace('"num_attention_heads": 4', '"num_attention_heads": 2')
    )
    other = build(tmp_path)
    batch = clips()
    assert not torch.equal(other(batch, ["pooled"])["pooled"], first(batch, ["pooled"])["pooled"])
    assert other.origin("pooled", "").digest != first.origin("pooled", "").digest
    (tmp_path / "config.json").write_text(text)
    assert build(tmp_path).origin("pooled", "") == first.origin("pooled", "")


def test_no_weights_are_fetched() -> None:
    with pytest.raises(WeightsError, match=r"weights=FILE or FOLDER: huggingface.co/OpenGVLab"):
        build()


def test_clips_of_another_length_are_refused(file: Path) -> None:
    extractor = build(file, **OPTIONS)
    with pytest.raises(DataError, match="takes clips of 4 frames, got 6"):
        extractor(clips(1, 6), ["pooled"])
    with pytest.raises(ConfigError, match="no layer 'x'"):
        extractor(clips(1, 4), ["x"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 4, "frames": 3, "size": 16}, "frames must be a multiple of 2, got 3"),
        ({"heads": 4, "frames": 0, "size": 16}, "frames must be a multiple of 2, got 0"),
        ({"heads": 4, "frames": 4, "size": 20}, "size must be a multiple of 8, got 20"),
        ({"heads": 5, "frames": 4, "size": 16}, "heads must divide the width 32, got 5"),
        ({"frames": 4, "size": 16}, "no published VideoMAE has width 32; give heads=NUMBER"),
        ({"protocol": "x"}, "protocol must be one of cd-fvd, imagenet; got 'x'"),
    ],
)
def test_options_out_of_range_are_refused(
    options: dict[str, Any], message: str, file: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(file, **options)


def test_other_and_damaged_files_are_named(file: Path) -> None:
    state = random_state()
    torch.save({"model": {k: v for k, v in state.items() if not k.startswith("head")}}, file)
    with pytest.raises(WeightsError, match=r"ft.pth holds no VideoMAE .* 'head.weight' is missing"):
        build(file, **OPTIONS)
    torch.save(state | {"patch_embed.proj.weight": torch.zeros(32, 3, 8, 8)}, file)
    with pytest.raises(WeightsError, match=r"ft.pth holds a transformer of pictures"):
        build(file, **OPTIONS)
    torch.save({k: v for k, v in state.items() if k != "blocks.1.attn.q_bias"}, file)
    with pytest.raises(WeightsError, match=r"1 missing: blocks.1.attn.q_bias"):
        build(file, **OPTIONS)
    file.write_bytes(b"")
    with pytest.raises(WeightsError, match="it is empty"):
        build(file, **OPTIONS)


def test_other_and_damaged_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is no intact folder of VideoMAE"):
        build(tmp_path)
    transformers_model().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    save_file({k: v for k, v in state.items() if not k.startswith("classifier")}, path)
    with pytest.raises(WeightsError, match=r"lacks classifier.bias, classifier.weight"):
        build(tmp_path)


def test_a_folder_needs_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match="pip install transformers"):
        build(tmp_path)
