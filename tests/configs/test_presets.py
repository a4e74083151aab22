"""Every recipe for a reward builds, and takes a step, with tiny towers in place of its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

import beholder
from beholder.configs._load import load_config, presets
from beholder.errors import ConfigError
from beholder.training.judged.rated import Rated
from beholder.training.reward import RewardTraining, aspect_weights, train_reward
from beholder.training.towers.freezing import TowerName
from beholder.types import ASPECTS
from tests.rewards import tiny_towers
from tests.rewards._blip.small import HEAD, SIZES, VOCABULARY
from tests.rewards.tinies import aesthetic, blipscore
from tests.training.brightness import preferences

RECIPES = [name for name in presets() if not name.startswith("richhf_")]


def tiny_options(name: str, folder: Path) -> dict[str, Any]:
    """The preset's options with encoders that cost a test nothing."""
    given = dict(load_config(name, [], RewardTraining).options)
    towers = {"towers": tiny_towers.OPEN_CLIP}
    if name == "imagereward":
        file = folder / "blip.pth"
        torch.save({"model": blipscore.published_state(blipscore.tiny())}, file)
        return {"backbone": str(file), "config": {**SIZES, "head": HEAD}, "tokenizer": VOCABULARY}
    options: dict[str, dict[str, Any]] = {
        "mps_vit_h_14": {"config": tiny_towers.CONFIG},
        "mps_vit_b_32_lora": {**towers, "config": tiny_towers.HEAD},
        "pickscore": towers,
        "hps_v2": {**towers, "version": "v2.0"},
        "aesthetic_head": {"version": "v2", "config": aesthetic.config()},
        "siglip2_head": {**given, **towers},
        "tiny_cpu": {},
    }
    return options[name]


def shrunk(name: str, folder: Path) -> RewardTraining:
    """The preset as it is but for towers, blocks, steps and the machine."""
    config = load_config(name, [], RewardTraining)
    one: dict[TowerName, int] = {"picture": 1, "text": 1}
    fit = replace(config.fit, steps=1, accumulation=1, warmup_steps=0, precision="fp32")
    return replace(
        config,
        options=tiny_options(name, folder),
        run=str(folder / "run"),
        device="cpu",
        last_blocks=one if config.train == "last_blocks" else config.last_blocks,
        epochs=0,
        held_out_share=0,
        fit=fit,
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_takes_a_step_and_gives_a_reward_back(name: str, tmp_path: Path) -> None:
    config = shrunk(name, tmp_path)
    judged: Any = preferences(tmp_path, prompts=4, each=2)
    picture = judged[0].first
    if config.ratings:
        pictures = [picture for row in judged for picture in (row.first, row.second)]
        judged = [
            Rated(key=str(k), prompt="", image=picture, values={"overall": k / 10})
            for k, picture in enumerate(pictures)
        ]
    torch.manual_seed(config.fit.seed)
    start = beholder.load(config.reward, **config.options).state_dict()
    trained = beholder.load(str(train_reward(config, judged)))
    weights = trained.state_dict()
    moved = {key for key, value in start.items() if not torch.equal(value, weights[key])}
    assert moved
    if config.train == "head":
        assert not any(key.startswith(("tower.", "towers.model.visual.conv")) for key in moved)
    scores = trained.score(picture, "prompt number 0")
    assert scores.total.isfinite().all()
    assert not scores.errors


@pytest.mark.parametrize("name", RECIPES)
def test_an_unknown_key_is_refused_with_a_suggestion(name: str) -> None:
    with pytest.raises(ConfigError, match="did you mean 'pairs_per_batch'"):
        load_config(name, ["pairs_per_bach=3"], RewardTraining)


def test_the_encoders_that_recipes_start_from_are_known_to_open_clip() -> None:
    known = set(open_clip.list_pretrained())
    for name in RECIPES:
        towers: Any = load_config(name, [], RewardTraining).options.get("towers", {})
        if towers:
            assert (towers["name"], towers["pretrained"]) in known, name


def test_recipes_of_papers_keep_their_batches_and_rates() -> None:
    loaded = {name: load_config(name, [], RewardTraining) for name in RECIPES}
    sizes = {name: c.pairs_per_batch * c.fit.accumulation for name, c in loaded.items()}
    assert (sizes["pickscore"], sizes["hps_v2"], sizes["imagereward"]) == (128, 128, 64)
    assert sizes["aesthetic_head"] == 256
    rates = {
        name: loaded[name].fit.learning_rate for name in ("pickscore", "hps_v2", "imagereward")
    }
    assert rates == {"pickscore": 3e-6, "hps_v2": 3.3e-6, "imagereward": 1e-5}
    assert loaded["imagereward"].fix_rate == 0.7
    assert loaded["hps_v2"].last_blocks == {"picture": 19, "text": 11}
    assert loaded["hps_v2"].fit.epsilon == 1e-6 / 16


@pytest.mark.parametrize("name", ["siglip2_head", "mps_vit_b_32_lora"])
def test_recipes_for_own_judgements_learn_all_four_dimensions(name: str, tmp_path: Path) -> None:
    config = shrunk(name, tmp_path)
    reward = beholder.load(config.reward, **config.options)
    assert set(aspect_weights(reward, config.aspect_weights)) == set(ASPECTS)
