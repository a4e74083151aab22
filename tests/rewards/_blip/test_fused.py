import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import beholder
from beholder._published.weights import Published
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._blip import fused
from beholder.rewards._blip.fused import is_fused, own_name
from beholder.training.towers.freezing import tower_weights
from tests.rewards._blip.small import HEAD, SIZES, VOCABULARY

REPOS = {"imagereward": "imagereward", "cyclereward": "cyclereward-combo"}
FUSED = pytest.mark.parametrize("name", ["imagereward", "cyclereward"])


def module(name: str) -> Any:
    return import_module(f"tests.rewards.tinies.{name}")


@FUSED
@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_a_published_file_gives_the_scores_of_its_weights(
    name: str, kind: str, tmp_path: Path
) -> None:
    reward = module(name).tiny()
    state, path = module(name).published_state(reward), tmp_path / "weights"
    save_file(state, path) if kind == "safetensors" else torch.save(state, path)
    loaded = beholder.load(name, weights=path, config=module(name).CONFIG, tokenizer=VOCABULARY)
    pixels, prompts = torch.rand(2, 3, 40, 32), ["a cat", "two red cubes"]
    assert torch.equal(loaded.score(pixels, prompts).total, reward.score(pixels, prompts).total)


@FUSED
def test_keys_that_are_missing_unexpected_or_misshapen_are_named(name: str, tmp_path: Path) -> None:
    state = module(name).published_state(module(name).tiny())
    del state["blip.visual_encoder.blocks.1.attn.qkv.bias"]
    state["blip.prompt.weight"] = torch.zeros(1)
    state["mlp.layers.0.weight"] = torch.zeros(3, 24)
    save_file(state, tmp_path / "w.safetensors")
    missing = r"1 missing: blip\.vision\.encoder\.layers\.1\.self_attn\.qkv\.bias"
    fault = missing + r".*unexpected: prompt\.weight.*misshapen: mlp\.0\.weight \(3, 24\)"
    with pytest.raises(WeightsError, match=fault):
        module(name).tiny(weights=tmp_path / "w.safetensors")


@FUSED
def test_a_truncated_file_is_refused(name: str, tmp_path: Path) -> None:
    save_file(module(name).published_state(module(name).tiny()), tmp_path / "w.safetensors")
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="not an intact safetensors file"):
        module(name).tiny(weights=tmp_path / "w.safetensors")


@FUSED
def test_nothing_given_fetches_before_it_builds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Published] = []

    def fetch(published: Published) -> Path:
        asked.append(published)
        raise WeightsError("offline")

    monkeypatch.setattr(fused, "fetch", fetch)
    monkeypatch.setattr(fused, "BlipEncoders", None)
    with pytest.raises(WeightsError, match="offline"):
        beholder.load(name)
    assert [published.repo.partition("/")[2].lower() for published in asked] == [REPOS[name]]


@FUSED
def test_a_saved_folder_holds_the_vocabulary(name: str, tmp_path: Path) -> None:
    reward = module(name).tiny()
    reward.save_pretrained(tmp_path)
    options = json.loads((tmp_path / "config.json").read_text())["options"]
    assert options == {"config": {**SIZES, "head": HEAD}}
    again = beholder.load(str(tmp_path))
    pixels = torch.rand(1, 3, 32, 40)
    assert torch.equal(again.score(pixels, "a dog").total, reward.score(pixels, "a dog").total)


@FUSED
def test_prompts_are_cut_to_the_published_length(name: str) -> None:
    reward = module(name).tiny()
    length = {"imagereward": 35, "cyclereward": 128}[name]
    pixels = torch.rand(1, 3, 32, 32)
    kept = "cat " * (length - 2)
    score = reward.score(pixels, kept).total
    assert torch.equal(reward.score(pixels, kept + "dog").total, score)
    assert not torch.equal(reward.score(pixels, kept[:-4] + "dog").total, score)


@FUSED
def test_one_picture_of_many_prompts_is_seen_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward, pixels = module(name).tiny(), torch.rand(3, 32, 32)
    seen: list[int] = []
    see: Callable[[Tensor], Tensor] = reward.blip.see

    def counted(values: Tensor) -> Tensor:
        seen.append(len(values))
        return see(values)

    monkeypatch.setattr(reward.blip, "see", counted)
    prompts = ["a cat", "a dog", "two red cubes, a light"]
    together = reward.score([pixels] * 3, prompts).total
    assert seen == [1]
    alone = torch.cat([reward.score(pixels, prompt).total for prompt in prompts])
    torch.testing.assert_close(together, alone)


@FUSED
def test_prepared_inputs_score_as_pictures_and_prompts(name: str) -> None:
    reward = module(name).tiny()
    pixels, prompts = torch.rand(2, 3, 40, 32), ["a cat", "two red cubes, a dog"]
    ids, real = reward.tokenizer(prompts)
    with torch.no_grad():
        scores = reward.forward_features(reward.preprocess(pixels), ids, real.long())
    torch.testing.assert_close(scores, reward.score(pixels, prompts).total)


@FUSED
def test_the_head_stays_in_float32(name: str) -> None:
    reward = module(name).tiny().cast(torch.bfloat16)
    assert reward.mlp[0].weight.dtype == torch.float32
    assert reward.blip.vision.post_layernorm.weight.dtype == torch.bfloat16


@FUSED
@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"mlp": [1]}, "'mlp'.*head"),
        ({"head": [8, 4]}, r"head takes 4 whole numbers above 0, got \[8, 4\]"),
        ({"head": [8, 4, 2, 0]}, "head takes"),
        ({"text": {"layers": 2}}, "'layers'"),
    ],
)
def test_wrong_sizes_are_refused(name: str, config: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        module(name).tiny(config={**SIZES, **config})


def test_what_no_score_needs_has_no_name() -> None:
    assert own_name("blip.vision_proj.weight") is None
    assert own_name("blip.text_proj.bias") is None
    assert own_name("blip.text_encoder.embeddings.position_ids") is None
    assert own_name("mlp.layers.7.bias") == "mlp.7.bias"
    assert own_name("blip.visual_encoder.norm.bias") == "blip.vision.post_layernorm.bias"


def test_the_last_layer_of_the_head_tells_the_rewards_apart() -> None:
    for name, last in (("imagereward", 7), ("cyclereward", 8)):
        state = module(name).published_state(module(name).tiny())
        shapes = {key: tuple(value.shape) for key, value in state.items()}
        assert [at for at in (7, 8) if is_fused(shapes, at)] == [last]
    assert not is_fused({"layers.7.weight": (1, 16)}, 7)


@FUSED
def test_the_towers_are_blips_encoders_and_the_head_is_the_rest(name: str) -> None:
    reward = module(name).tiny()
    vision, text = tower_weights(reward)
    names = {n for n, _ in reward.named_parameters()}
    assert vision == {n for n in names if n.startswith("blip.vision.")}
    assert text == {n for n in names if n.startswith("blip.text.")}
    assert {n.partition(".")[0] for n in names - vision - text} == {"mlp"}
