from typing import Any

import pytest
import torch

import beholder
from beholder.errors import ConfigError
from beholder.rewards import Reward
from beholder.rewards.mps import MPS
from beholder.training.fit.learner import FitConfig, Learner
from beholder.training.towers.freezing import (
    LowRank,
    Trains,
    are_towers_frozen,
    freeze,
    merge_lora,
    summary,
    tower_blocks,
    tower_depths,
    tower_weights,
)
from tests.rewards import tiny_towers
from tests.rewards._blip.small import SIZES
from tests.rewards.tinies import aesthetic, imagereward, pickscore, siglip

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
    return freeze(reward, train, last_blocks=1, lora=LowRank(rank=2))


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
        freeze(mps("clip"), "last_blocks", last_blocks=3)


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
        freeze(beholder.load("tiny"), "head")


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
    names = freeze(reward, "all", frozen=["joint.t5", "vision"])
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
        freeze(reward, "all", frozen=["vit"])


def stays(reward: Reward) -> set[str]:
    return {name for name, weight in reward.named_parameters() if not weight.requires_grad}


def below(reward: Reward, *parts: str) -> set[str]:
    return {n for n, _ in reward.named_parameters() if any(f"{p}." in f"{n}." for p in parts)}


def test_fix_rate_freezes_what_imagereward_freezes() -> None:
    """Of 24 and 12 layers 16 and 8, all embeddings, and one weight of the next layer."""
    sizes = {
        "vision": {**SIZES["vision"], "num_hidden_layers": 24},
        "text": {**SIZES["text"], "num_hidden_layers": 12},
    }
    reward = imagereward.tiny(config={**imagereward.CONFIG, **sizes})
    freeze(reward, "fix_rate", fix_rate=0.7)
    vision = [f"blip.vision.encoder.layers.{k}" for k in range(16)]
    text = [f"blip.text.encoder.layer.{k}" for k in range(8)]
    assert stays(reward) == below(
        reward, "blip.vision.embeddings", "blip.text.embeddings", *vision, *text
    ) | {
        "blip.vision.encoder.layers.16.layer_norm1.weight",  # norm1.weight of the published block
        "blip.text.encoder.layer.8.attention.self.query.weight",
    }


def test_fix_rate_finds_what_each_tower_uses_before_its_blocks() -> None:
    reward = mps("open_clip")
    freeze(reward, "fix_rate", fix_rate=0.5)
    model = "towers.model"
    pictures = ("class_embedding", "positional_embedding", "conv1", "ln_pre")
    assert stays(reward) == below(
        reward,
        *(f"{model}.visual.{name}" for name in (*pictures, "transformer.resblocks.0")),
        *(f"{model}.{n}" for n in ("token_embedding", "positional_embedding")),
        f"{model}.transformer.resblocks.0",
    ) | {
        f"{model}.visual.transformer.resblocks.1.ln_1.weight",
        f"{model}.transformer.resblocks.1.ln_1.weight",
    }


def test_fix_rate_sees_a_last_block_that_computes_its_class_token_alone() -> None:
    reward = pickscore.tiny()
    freeze(reward, "fix_rate", fix_rate=0.5)
    for layers in ("vision_model.encoder.layers", "text_model.encoder.layers"):
        last = f"towers.model.{layers}.1"
        assert stays(reward) & below(reward, last) == {f"{last}.layer_norm1.weight"}


def test_a_rate_below_one_block_keeps_only_what_comes_before() -> None:
    reward = mps("clip")
    freeze(reward, "fix_rate", fix_rate=0.4)
    layer = "towers.model.vision_model.encoder.layers.0"
    assert stays(reward) & below(reward, layer) == {f"{layer}.layer_norm1.weight"}
    assert below(reward, "towers.model.text_model.embeddings") < stays(reward)


def test_each_tower_may_have_its_own_number_of_last_blocks() -> None:
    reward = mps("clip")
    names = set(freeze(reward, "last_blocks", last_blocks={"picture": 2}))
    names -= set(free(mps("clip"), "head"))
    assert names == below(reward, "towers.model.vision_model.encoder")
    both = set(freeze(mps("clip"), "last_blocks", last_blocks={"picture": 2, "text": 1}))
    text = "towers.model.text_model.encoder.layers.1"
    assert both - names - set(free(mps("clip"), "head")) == below(reward, text)


@pytest.mark.parametrize("kind", ["clip", "open_clip"])
def test_low_rank_updates_of_one_tower_leave_the_other_alone(kind: str) -> None:
    reward = mps(kind)
    pictures, texts = tower_weights(reward)
    names = freeze(reward, "lora", lora=LowRank(rank=2, towers=["text"]))
    updated = {name.replace(".base_layer", "") for name in names if "lora_" in name}
    assert updated
    roots = {".".join(name.split(".")[:4]) for name in updated}
    assert roots <= {".".join(name.split(".")[:4]) for name in texts}
    assert not roots & {".".join(name.split(".")[:4]) for name in pictures}


def test_alpha_over_rank_is_the_factor_of_an_update() -> None:
    """With A and B all ones an update of rank r adds alpha / r * r = alpha to each weight."""
    reward, name = mps("clip"), "towers.model.vision_model.encoder.layers.0.mlp.fc1"
    before = reward.get_parameter(f"{name}.weight").detach().clone()
    freeze(reward, "lora", lora=LowRank(rank=4, alpha=3))
    with torch.no_grad():
        for part, weight in reward.named_parameters():
            if "lora_" in part:
                weight.fill_(1)
    merge_lora(reward)
    moved = reward.get_parameter(f"{name}.weight") - before
    torch.testing.assert_close(moved, torch.full_like(moved, 3.0))


def test_depth_counts_blocks_from_the_top_of_each_tower() -> None:
    depths = tower_depths(mps("clip"))
    vision, text = "towers.model.vision_model", "towers.model.text_model"
    by_hand = {
        f"{vision}.post_layernorm.weight": 0,
        f"{vision}.encoder.layers.1.mlp.fc1.bias": 1,
        f"{vision}.encoder.layers.0.self_attn.q_proj.weight": 2,
        f"{vision}.embeddings.class_embedding": 3,
        f"{vision}.pre_layrnorm.bias": 3,
        f"{text}.final_layer_norm.bias": 0,
        f"{text}.encoder.layers.1.layer_norm2.weight": 1,
        f"{text}.embeddings.position_embedding.weight": 3,
    }
    assert {name: depths[name] for name in by_hand} == by_hand
    assert set(depths) == set().union(*tower_weights(mps("clip")))


def test_depth_follows_use_and_not_the_order_of_definition() -> None:
    """open_clip defines its text embeddings after the blocks, and the projection before them."""
    depths = tower_depths(mps("open_clip"))
    assert depths["towers.model.token_embedding.weight"] == 3
    assert depths["towers.model.positional_embedding"] == 3
    assert depths["towers.model.ln_final.weight"] == 0
    pictures = tower_depths(aesthetic.tiny())
    assert pictures["tower.visual.proj"] == 0
    assert pictures["tower.visual.class_embedding"] == 3


def test_depth_is_counted_in_each_stack_of_richhf() -> None:
    depths = tower_depths(richhf(t5={"num_decoder_layers": 3}))
    by_hand = {
        "vision.vit.layers.0": 2,
        "joint.t5.shared.weight": 3,
        "joint.t5.encoder.block.1": 1,
        "joint.t5.encoder.final_layer_norm.weight": 0,
        "joint.t5.decoder.block.0": 3,
    }
    for part, depth in by_hand.items():
        assert {d for name, d in depths.items() if f"{name}.".startswith(f"{part}.")} == {depth}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("train", ["head", "lora", "fix_rate"])
def test_towers_are_found_whatever_is_frozen_or_wrapped(kind: str, train: Trains) -> None:
    reward = mps(kind)
    before = [tower_blocks(reward, tower) for tower in tower_weights(reward)]
    weights = set().union(*tower_weights(reward))
    free(reward, train)
    trains = {name for name, weight in reward.named_parameters() if weight.requires_grad}
    after = [tower_blocks(reward, tower) for tower in tower_weights(reward)]
    assert after == before
    assert all(len(blocks) >= 2 for blocks in after)
    depths = tower_depths(reward)
    plain = {name.replace(".base_layer", "") for name in depths if "lora_" not in name}
    assert plain == weights
    updates = {name for name in trains if "lora_" in name}
    assert updates == {name for name in depths if "lora_" in name}
    assert {depths[name] for name in updates} <= {1, 2}
    assert {n for n, w in reward.named_parameters() if w.requires_grad} == trains


@pytest.mark.parametrize("train", ["last_blocks", "fix_rate", "lora"])
def test_a_reward_that_reads_no_text_has_one_tower(train: Trains) -> None:
    reward = aesthetic.tiny()
    pictures, texts = tower_weights(reward)
    assert texts == set()
    assert tower_blocks(reward, texts) == []
    names = set(free(reward, train))
    assert names & below(reward, "head")
    assert names & (pictures | {name for name in names if "lora_" in name})


def test_the_logit_scale_alone_is_nothing_to_learn() -> None:
    part = "towers.model.text_model.head"  # all that the head of this SigLIP has beside its scale
    with pytest.raises(ConfigError, match="nothing but the logit scale of siglip would train"):
        freeze(siglip.tiny(), "head", frozen=[part])
    assert set(free(siglip.tiny(), "head")) & {f"{part}.weight"}
