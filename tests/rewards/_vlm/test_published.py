import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from beholder._published.weights import Published
from beholder.errors import WeightsError
from beholder.rewards._vlm import published
from beholder.rewards._vlm.published import (
    backbone_name,
    fetch_shards,
    has_backbone,
    read_shards,
    read_tokenizer,
    unfilled,
)
from tests.rewards._vlm import tiny_qwen
from tests.rewards.tinies import hpsv3

INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("visual.blocks.3.attn.qkv.weight", "model.visual.blocks.3.attn.qkv.weight"),
        ("model.layers.7.mlp.up_proj.weight", "model.language_model.layers.7.mlp.up_proj.weight"),
        ("model.embed_tokens.weight", "model.language_model.embed_tokens.weight"),
        ("model.norm.weight", "model.language_model.norm.weight"),
    ],
)
def test_names_of_both_generations_of_transformers_are_known(old: str, new: str) -> None:
    assert backbone_name(old) == backbone_name(new) == f"vlm.{new}"


def test_other_names_are_not_the_backbones() -> None:
    for name in ("lm_head.weight", "rm_head.0.weight", "text_model.layers.0.x", "model.x"):
        assert backbone_name(name) is None


def test_a_backbone_is_known_by_its_names() -> None:
    names = list(hpsv3.published_state(hpsv3.tiny()))
    assert has_backbone(map(backbone_name, names))
    later = [name.replace("mlp.fc1", "mlp.gate_proj") for name in names]
    assert not has_backbone(map(backbone_name, later))
    assert not has_backbone(backbone_name(n) for n in names if not n.startswith("visual."))


def shards(folder: Path) -> dict[str, torch.Tensor]:
    state = {"a": torch.ones(2), "b": torch.zeros(3)}
    for number, name in enumerate(state):
        save_file({name: state[name]}, folder / f"model-{number}.safetensors")
    weight_map = {name: f"model-{number}.safetensors" for number, name in enumerate(state)}
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    return state


def test_an_index_stands_for_the_shards_beside_it(tmp_path: Path) -> None:
    state = shards(tmp_path)
    found = read_shards(tmp_path / INDEX)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    assert read_shards(tmp_path / "model-0.safetensors").keys() == {"a"}
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(WeightsError, match="model-1"):
        read_shards(tmp_path / INDEX)


def test_all_shards_of_an_index_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = shards(tmp_path)
    asked = []

    def fetch(wanted: Published) -> Path:
        asked.append((wanted.repo, wanted.revision))
        return tmp_path / wanted.file

    monkeypatch.setattr(published, "fetch", fetch)
    paths = fetch_shards(Published("some/where", INDEX, "abc"))
    assert asked == [("some/where", "abc")] * 3
    assert read_shards(paths).keys() == state.keys()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no json", "not an index"),
        ("{}", "not an index"),
        ('{"weight_map": ["a"]}', "not an index"),
        ('{"weight_map": {"a": "../other.safetensors"}}', "does not lie beside it"),
    ],
)
def test_a_broken_index_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(WeightsError, match=why):
        read_shards(tmp_path / INDEX)


def test_a_tokenizer_is_read_or_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tiny_qwen.tokenizer_file(tmp_path)
    hub = Published("some/where", "tokenizer.json", "main")
    assert read_tokenizer(file, hub) == tiny_qwen.tokenizer_text()
    monkeypatch.setattr(published, "fetch", lambda wanted, option: tmp_path / wanted.file)
    assert read_tokenizer(None, hub) == tiny_qwen.tokenizer_text()
    with pytest.raises(WeightsError, match="cannot read the tokenizer"):
        read_tokenizer(tmp_path / "none.json", hub)


def test_an_unfilled_reward_has_the_type_of_its_weights_and_a_float32_head() -> None:
    state = {"vlm.model.language_model.embed_tokens.weight": torch.zeros(1).bfloat16()}
    reward = unfilled(hpsv3.tiny, state)
    assert reward.vlm.dtype == torch.bfloat16
    assert reward.rm_head[0].weight.dtype == torch.float32
    assert {p.device.type for p in reward.parameters()} == {"cpu"}
