import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import beholder
from beholder._published.weights import Published, renamed
from beholder.errors import WeightsError
from beholder.rewards._cross import CrossModel
from beholder.rewards.mps import CLIP_H, MPS, own_name
from tests.rewards import tiny_towers


def tiny() -> MPS:
    torch.manual_seed(0)
    reward = beholder.load("mps", config=tiny_towers.CONFIG)
    assert isinstance(reward, MPS)
    return reward


def published_state(reward: MPS, prefix: str) -> dict[str, Tensor]:
    state = {k.removeprefix("towers."): v for k, v in reward.state_dict().items()}
    state["model.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    return {prefix + key: value.clone() for key, value in state.items()}


@pytest.mark.parametrize("prefix", ["", "mps.", "module.", "model."])
def test_published_names_load_with_any_wrapper(prefix: str, tmp_path: Path) -> None:
    reward = tiny()
    save_file(published_state(reward, prefix), tmp_path / "mps.safetensors")
    loaded = beholder.load("mps", weights=tmp_path / "mps.safetensors", config=tiny_towers.CONFIG)
    pixels = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded.score(pixels, "a cat").total, reward.score(pixels, "a cat").total)


def test_without_anything_given_the_published_weights_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = beholder.load("mps", config={"clip": tiny_towers.CLIP})
    assert isinstance(source, MPS)
    save_file(published_state(source, "mps."), tmp_path / "model.safetensors")
    fetched: list[Published] = []

    def fetch(published: Published) -> Path:
        fetched.append(published)
        return tmp_path / "model.safetensors"

    monkeypatch.setattr("beholder.rewards.mps.fetch", fetch)
    monkeypatch.setattr("beholder.rewards.mps.CLIP_H", tiny_towers.CLIP)
    pixels = torch.rand(1, 3, 32, 32)
    loaded = beholder.load("mps")
    assert [published.repo for published in fetched] == ["RE-N-Y/mpsv1"]
    assert torch.equal(loaded.score(pixels, "a").total, source.score(pixels, "a").total)


def test_the_published_sizes_are_those_of_the_paper() -> None:
    from transformers import CLIPTextConfig, CLIPVisionConfig

    text, vision = (CLIP_H[name] for name in ("text", "vision"))
    assert isinstance(text, dict)
    assert isinstance(vision, dict)
    known = CLIPTextConfig(**text), CLIPVisionConfig(**vision)
    assert [c.num_hidden_layers for c in known] == [24, 32]
    assert (known[0].vocab_size, known[0].max_position_embeddings) == (49408, 77)
    assert (known[1].image_size, known[1].patch_size) == (224, 14)
    head = CrossModel()
    assert sum(p.numel() for p in head.parameters()) == pytest.approx(118.5e6, rel=1e-3)


def test_tables_that_are_computed_may_be_absent(tmp_path: Path) -> None:
    state = published_state(tiny(), "")
    lean = {k: v for k, v in state.items() if not k.endswith(("inv_freq", "norm.bias"))}
    assert len(lean) < len(state)
    save_file(lean, tmp_path / "mps.safetensors")
    beholder.load("mps", weights=tmp_path / "mps.safetensors", config=tiny_towers.CONFIG)


def test_keys_that_are_missing_or_unexpected_are_named(tmp_path: Path) -> None:
    state = published_state(tiny(), "mps.")
    del state["mps.cross_model.layers.1.0.fn.to_q.weight"]
    state["mps.head.weight"] = torch.zeros(1)
    save_file(state, tmp_path / "mps.safetensors")
    with pytest.raises(WeightsError, match=r"layers\.1\.0\.fn\.to_q\.weight.*head\.weight"):
        beholder.load("mps", weights=tmp_path / "mps.safetensors", config=tiny_towers.CONFIG)


def test_two_keys_of_one_meaning_are_refused() -> None:
    with pytest.raises(WeightsError, match="logit_scale"):
        renamed({"logit_scale": torch.ones(()), "model.logit_scale": torch.ones(())}, own_name)


class Evil:
    """Creates a folder if its pickle is executed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.folder,)


def test_the_published_pickled_module_loads_without_being_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = tiny()
    trainer = ModuleType("trainer.models.clip_model")

    class CLIPModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = reward.towers.model
            self.cross_model = reward.cross_model
            self.config = Evil(tmp_path / "executed")

    CLIPModel.__module__, CLIPModel.__qualname__ = "trainer.models.clip_model", "CLIPModel"
    trainer.CLIPModel = CLIPModel  # type: ignore[attr-defined]
    for name in ("trainer", "trainer.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "trainer.models.clip_model", trainer)
    path = tmp_path / "MPS_overall_checkpoint.pth"
    torch.save(CLIPModel().half(), path)
    torch.load(path, weights_only=False)
    (tmp_path / "executed").rmdir()  # so that is what an ordinary load does
    expected = {k: v.float().clone() for k, v in reward.state_dict().items()}
    for name in ("trainer.models.clip_model", "trainer.models", "trainer"):
        monkeypatch.delitem(sys.modules, name)
    loaded = beholder.load("mps", weights=path, config=tiny_towers.CONFIG)
    assert not (tmp_path / "executed").exists()
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[name])
