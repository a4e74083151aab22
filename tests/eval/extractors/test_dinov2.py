"""DINOv2 against transformers' model of the same weights, and torch.hub's way with positions."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from beholder.errors import ConfigError, WeightsError
from beholder.eval.extractors import load
from beholder.eval.extractors.dinov2 import DinoV2Extractor
from tests.eval.extractors.random_weights import dinov2_state


def pixels(side: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8, generator=generator)


def cls(extractor: Any, prepared: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = extractor(prepared, ["cls"])["cls"]
    return found


def apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dinov2") / "dinov2_pretrain.pth"
    torch.save(dinov2_state(), path)
    return path


@pytest.fixture(scope="module")
def extractor(file: Path) -> DinoV2Extractor:
    built = load("dinov2", file)
    assert isinstance(built, DinoV2Extractor)
    return built


@pytest.fixture(scope="module")
def peer() -> Any:
    """transformers' model with the weights of `dinov2_state`."""
    transformers = pytest.importorskip("transformers")
    config = transformers.Dinov2Config(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=518
    )
    model = transformers.Dinov2Model(config).eval()
    own = model.state_dict()
    hub = dinov2_state()
    for name in own:
        own[name] = _hub_value(hub, name)
    model.load_state_dict(own)
    return model


def _hub_value(hub: dict[str, Tensor], name: str) -> Tensor:
    if name.startswith("embeddings."):
        last = name.removeprefix("embeddings.")
        told = {
            "position_embeddings": "pos_embed",
            "patch_embeddings.projection.weight": "patch_embed.proj.weight",
            "patch_embeddings.projection.bias": "patch_embed.proj.bias",
        }
        return hub[told.get(last, last)]
    if name.startswith("layernorm."):
        return hub[name.replace("layernorm", "norm")]
    name = name.replace("encoder.layer.", "blocks.").replace("o_proj", "proj")
    name = name.replace("layer_scale", "ls").replace("lambda1", "gamma")
    name = name.replace(".attention.", ".attn.")
    for number, letter in enumerate("qkv"):
        if f"{letter}_proj" in name:
            return hub[name.replace(f"{letter}_proj", "qkv")].chunk(3)[number]
    return hub[name]


def scaled(prepared: Tensor) -> Tensor:
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    return (prepared / 255 - mean) / std


def test_at_the_size_of_its_training_it_is_transformers_model(file: Path, peer: Any) -> None:
    with torch.no_grad():
        expected = peer(scaled(pixels(518))).pooler_output
    assert apart(cls(load("dinov2", file, side=518), pixels(518)), expected) < 2e-6


def test_at_224_it_is_torch_hubs_model_and_not_transformers(
    extractor: DinoV2Extractor, peer: Any
) -> None:
    with torch.no_grad():
        theirs = peer(scaled(pixels(224))).pooler_output
    found = cls(extractor, pixels(224))
    assert 1e-4 < apart(found, theirs) < 0.2
    # The same model, once its positions are told in torch.hub's way: 16.1 cells a side.
    learned = dinov2_state()["pos_embed"]
    cells = functional.interpolate(
        learned[:, 1:].reshape(1, 37, 37, 128).permute(0, 3, 1, 2),
        scale_factor=(16.1 / 37, 16.1 / 37),
        mode="bicubic",
        antialias=False,
    )
    assert cells.shape[2:] == (16, 16)
    told = torch.cat((learned[:, :1], cells.flatten(2).mT), dim=1)
    peer.embeddings.interpolate_pos_encoding = lambda *_: told
    with torch.no_grad():
        expected = peer(scaled(pixels(224))).pooler_output
    del peer.embeddings.interpolate_pos_encoding
    assert apart(found, expected) < 2e-6


def test_all_layouts_give_the_same_weights(
    extractor: DinoV2Extractor, peer: Any, tmp_path: Path
) -> None:
    peer.save_pretrained(tmp_path / "folder")
    save_file(
        {k: v.contiguous() for k, v in peer.state_dict().items()}, tmp_path / "live.safetensors"
    )
    for path in (tmp_path / "folder" / "model.safetensors", tmp_path / "live.safetensors"):
        other = load("dinov2", path)
        assert other.weights_id == extractor.weights_id
        assert torch.equal(cls(other, pixels(224)), cls(extractor, pixels(224)))


def test_its_origin_says_network_and_resize(extractor: DinoV2Extractor, file: Path) -> None:
    origin = extractor.origin("cls", "alpha=white")
    assert (origin.extractor, origin.resize) == ("dinov2-vit128x2/14", "dgm-uint8")
    assert load("dinov2", file, resize="edm2").resize == "edm2"
    assert load("dinov2", file, side=518).resize == "dgm-uint8 to 518"
    assert dict(extractor.layers) == {"cls": 128}


def test_the_resize_decides_what_the_network_sees(file: Path) -> None:
    picture = pixels(90)[0]
    found = [load("dinov2", file, resize=r).prepare(picture) for r in ("dgm-uint8", "edm2", "tf1")]
    assert [value.dtype for value in found] == [torch.uint8, torch.float32, torch.float32]
    apart = [(value.float().clamp(0, 255) - found[0].float()).abs().mean() for value in found]
    assert 0.2 < apart[1] < 1  # rounded or not
    assert apart[2] > 5


def test_settings_and_files_that_do_not_fit_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of the patch, 14; got 225"):
        load("dinov2", file, side=225)
    with pytest.raises(ConfigError, match="resize must be one of dgm-uint8, edm2, tf1"):
        load("dinov2", file, resize="clean")
    state = dinov2_state()
    del state["blocks.1.ls2.gamma"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(WeightsError, match=r"1 missing: blocks\.1\.ls2\.gamma"):
        load("dinov2", tmp_path / "short.pth")
