from typing import Any

import pytest
import torch

import beholder
from beholder.errors import ConfigError
from beholder.rewards import Reward
from beholder.rewards.mps import MPS
from beholder.training.freezing import (
    Trains,
    are_towers_frozen,
    freeze,
    merge_lora,
    summary,
    tower_weights,
)
from beholder.training.learner import FitConfig, Learner
from tests.rewards import tiny_towers

KINDS: dict[str, dict[str, Any]] = {
    "clip": {"config": tiny_towers.CONFIG},
    "open_clip": {"towers": tiny_towers.OPEN_CLIP, "config": tiny_towers.HEAD},
    "timm_text": {"towers": tiny_towers.timm_text(), "config": tiny_towers.HEAD},
}
HEADS = {
    "clip": {"model.visual_projection.weight", "model.text_projection.weight", "model.logit_scale"},
    "open_clip": {"model.visual.proj", "model.text_projection", "model.logit_scale"},
    "timm_text": {
        "image_projection.weight",
        "image_projection.bias",
        "text_projection.weight",
        "log_scale",
        "position",
    },
}


def mps(kind: str) -> MPS:
    torch.manual_seed(0)
    reward = beholder.load("mps", **KINDS[kind])
    assert isinstance(reward, MPS)
    return reward


def free(reward: Reward, train: Trains) -> list[str]:
    return freeze(reward, train, last_blocks=1, lora_rank=2)


def scores(reward: MPS) -> torch.Tensor:
    pixels = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    total: torch.Tensor = reward(pixels, ["a red cube", "the cat"]).total
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_is_the_cross_model_the_projections_and_the_scale(kind: str) -> None:
    reward = mps(kind)
    names = free(reward, "head")
    towers = {n.removeprefix("towers.") for n in names if n.startswith("towers.")}
    existing = {n.removeprefix("towers.") for n, _ in reward.named_parameters()}
    assert towers == HEADS[kind] & existing
    cross = {n for n, _ in reward.named_parameters() if n.startswith("cross_model.")}
    assert cross < set(names)
    assert are_towers_frozen("head")
    assert not are_towers_frozen("lora")


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_towers_get_no_gradient_and_the_head_does(kind: str) -> None:
    reward = mps(kind)
    towers = set().union(*tower_weights(reward))
    free(reward, "head")
    scores(reward).sum().backward()
    reached = {name for name, weight in reward.named_parameters() if weight.grad is not None}
    assert not reached & towers
    assert any("scale" in name for name in reached)
    assert any("cross_model" in name for name in reached)


def test_the_last_block_of_each_tower_joins_the_head() -> None:
    reward = mps("clip")
    names = set(free(reward, "last_blocks")) - set(free(mps("clip"), "head"))
    assert {n.rpartition("layers.")[0] + n.rpartition("layers.")[2][0] for n in names} == {
        "towers.model.text_model.encoder.1",
        "towers.model.vision_model.encoder.1",
    }


def test_more_blocks_than_there_are_are_refused() -> None:
    with pytest.raises(ConfigError, match="last_blocks is 3, but a tower has 2 blocks"):
        freeze(mps("clip"), "last_blocks", last_blocks=3, lora_rank=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_low_rank_update_changes_nothing_and_a_trained_one_survives_merging(
    kind: str,
) -> None:
    reward = mps(kind).eval()
    before, names = scores(reward), {n for n, _ in reward.named_parameters()}
    trained = free(reward, "lora")
    assert any("lora_A" in name for name in trained)
    torch.testing.assert_close(scores(reward), before)
    learner = Learner(reward, FitConfig(learning_rate=0.05, warmup_steps=0), "fp32")
    for step in range(2):
        learner.backward(scores(reward).sum())
        learner.update(step)
    moved = [n for n, w in learner.weights.items() if "lora_B" in n and w.abs().sum() > 0]
    assert len(moved) == sum("lora_B" in n for n in trained)
    after = scores(reward)
    assert not torch.allclose(after, before, atol=1e-3)
    merge_lora(reward)
    assert {n for n, _ in reward.named_parameters()} == names
    torch.testing.assert_close(scores(reward), after, atol=1e-4, rtol=1e-4)


def test_everything_trains_on_request_but_what_came_frozen() -> None:
    reward = mps("clip")
    reward.get_parameter("towers.model.logit_scale").requires_grad_(False)  # noqa: FBT003
    names = set(free(reward, "all"))
    assert {n for n, _ in reward.named_parameters()} - names == {"towers.model.logit_scale"}


def test_a_reward_without_towers_has_no_head() -> None:
    with pytest.raises(ConfigError, match="tiny does not tell towers from a head"):
        freeze(beholder.load("tiny"), "head", last_blocks=1, lora_rank=1)


def test_the_log_says_what_trains() -> None:
    reward = mps("clip")
    text = summary(free(reward, "head"), reward)
    assert "cross_model.layers.0" in text
    assert "towers.model.logit_scale (1)" in text
    total = sum(w.numel() for w in reward.parameters())
    assert f"of {total:,} weights" in text


def richhf(**options: Any) -> Reward:
    return beholder.load("richhf", size="tiny", **options)


def test_the_towers_of_richhf_are_the_vision_model_and_both_stacks_of_t5() -> None:
    reward = richhf()
    vision, encoder, decoder = tower_weights(reward)
    named = {name for name, _ in reward.named_parameters()}
    assert vision == {name for name in named if name.startswith("vision.")}
    assert "joint.t5.shared.weight" in encoder
    assert decoder == {name for name in named if name.startswith("joint.t5.decoder.")}
    assert encoder | decoder == {name for name in named if name.startswith("joint.t5.")}


def test_the_last_block_of_each_stack_of_richhf_joins_the_head() -> None:
    reward = richhf(t5={"num_decoder_layers": 2})
    names = set(free(reward, "last_blocks")) - set(free(richhf(), "head"))
    blocks = {name[: name.index(".1.")] for name in names if ".decoder." not in name}
    assert blocks == {"vision.vit.layers", "joint.t5.encoder.block"}
    assert {name for name in names if ".decoder." in name} == {
        name for name, _ in reward.named_parameters() if ".decoder.block.1." in name
    }


@pytest.mark.parametrize("variant", ["multi_head", "augmented"])
def test_low_rank_updates_of_richhf_survive_merging(variant: str) -> None:
    reward = richhf(variant=variant).eval()
    pixels = torch.rand(2, 3, 64, 64)
    names = {n for n, _ in reward.named_parameters()}
    trained = free(reward, "lora")
    assert any("joint.t5.encoder" in name and "lora_B" in name for name in trained)
    learner = Learner(reward, FitConfig(learning_rate=0.05, warmup_steps=0), "fp32")
    for step in range(2):
        learner.backward(reward(pixels, ["a", "b"]).total.sum())
        learner.update(step)
    after = reward(pixels, ["a", "b"]).total
    merge_lora(reward)
    assert {n for n, _ in reward.named_parameters()} == names
    torch.testing.assert_close(reward(pixels, ["a", "b"]).total, after, atol=1e-4, rtol=1e-4)


def test_a_frozen_part_stays_as_it_is() -> None:
    reward = beholder.load("richhf", size="tiny", heads={"words": True})
    names = freeze(reward, "all", last_blocks=1, lora_rank=1, frozen=["joint.t5", "vision"])
    parts = {name.partition(".")[0] for name in names}
    assert parts == {
        "visual_token_projection",
        "heatmap_predictor",
        "score_predictor",
        "word_head",
    }


def test_a_part_that_is_not_there_cannot_be_frozen() -> None:
    reward = beholder.load("richhf", size="tiny")
    with pytest.raises(ConfigError, match="no part 'vit'; it has tokens"):
        freeze(reward, "all", last_blocks=1, lora_rank=1, frozen=["vit"])
