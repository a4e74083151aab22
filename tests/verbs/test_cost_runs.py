import pytest
import torch
from torch import nn

import beholder
from beholder._verbs.cost_runs import network_cost, per_step, pipeline_cost, reward_cost
from beholder.errors import ConfigError
from beholder.eval.cost import Cost
from beholder.rewards._text_cache import TextCache
from beholder.training._pipeline.loading import load_pipeline
from beholder.training.pipeline import Driver, Sampling
from tests.rewards.tinies.mps import tiny as tiny_mps

COUNT_ONLY = {"repeats": 0}


@pytest.fixture(scope="module")
def driver() -> Driver:
    return load_pipeline("tiny", {}, torch.device("cpu"), torch.float32, keep_scheduler=True)


def run(driver: Driver, pictures: int = 1, **sampling: object) -> Cost:
    how = Sampling(**{"steps": 2, "guidance": 0.0, **sampling})  # type: ignore[arg-type]
    return pipeline_cost(driver, ["a fox"] * pictures, how, COUNT_ONLY)


def flops(told: Cost) -> dict[str, int]:
    return {name: part.flops for name, part in told.parts.items()}


def test_a_step_more_costs_the_denoiser_alone(driver: Driver) -> None:
    two, six = flops(run(driver)), flops(run(driver, steps=6))
    assert six.pop("transformer") == 3 * two.pop("transformer")
    assert six == two
    assert min(six.values()) > 0  # text encoders and VAE really run


def test_guidance_doubles_the_denoiser_and_the_texts(driver: Driver) -> None:
    plain, guided = run(driver), run(driver, guidance=5.0)
    twice = {"transformer", "text_encoder", "text_encoder_2"}
    for name, part in plain.parts.items():
        assert guided.parts[name].flops == part.flops * (2 if name in twice else 1)
    step, double = per_step(plain), per_step(guided)
    assert step is not None
    assert double is not None
    assert double["flops"] == 2 * step["flops"] == 2 * plain.parts["transformer"].flops / 2
    assert step["part"] == "transformer"
    assert step["calls"] == double["calls"] == 1  # both halves go in one batch


def test_larger_and_more_pictures_cost_in_proportion(driver: Driver) -> None:
    one, two = run(driver), run(driver, pictures=2)
    assert two.flops.total == 2 * one.flops.total
    assert two.pictures == 2
    wide = run(driver, height=32, width=64)
    attention = 4 * (16 * 16) ** 2 * 8  # of 16 by 16 latents in 8 channels, on each other
    layers = one.parts["vae"].flops - attention
    assert wide.parts["vae"].flops == 2 * layers + 4 * attention


def test_a_pipeline_tells_what_its_parts_hold(driver: Driver) -> None:
    told = run(driver)
    assert set(told.parts) == {"vae", "text_encoder", "text_encoder_2", "transformer"}
    by_hand = sum(p.numel() for p in driver.denoiser.parameters())
    assert told.parts["transformer"].parameters.all == by_hand
    assert told.parts["transformer"].parameters.trainable == by_hand
    assert told.parameters.all == sum(part.parameters.all for part in told.parts.values())
    assert told.protocol["pipeline"] == "StableDiffusion3Pipeline"
    assert told.protocol["steps"] == 2


def test_a_reward_encodes_the_prompt_in_every_run() -> None:
    reward = tiny_mps().eval()
    pictures = torch.rand(2, 3, 40, 40)
    reward.score(pictures, "a fox")  # which would be kept
    kept = [value for value in vars(reward).values() if isinstance(value, TextCache)]
    first = reward_cost(reward, pictures, "a fox", COUNT_ONLY)
    assert reward_cost(reward, pictures, "a fox", COUNT_ONLY).flops == first.flops
    with torch.no_grad():
        reward.score_prepared(reward.preprocess(pictures), ["a fox"] * 2)
    assert [v for v in vars(reward).values() if isinstance(v, TextCache)] == kept
    assert first.pictures == 2
    assert first.protocol["pictures"] == "2,3,40,40"
    assert first.parts["mps"].parameters.all == sum(p.numel() for p in reward.parameters())


def test_a_rewards_layers_are_counted_by_hand() -> None:
    told = reward_cost(beholder.load("tiny"), torch.rand(3, 3, 50, 40), "a fox", COUNT_ONLY)
    patches = (32 // 8) ** 2 * (3 * 8 * 8) * 16
    assert told.flops.total == 3 * 2 * (patches + 16 * 4)
    assert told.protocol["prepared"] == "3,3,32,32"
    assert per_step(told) is None


def test_a_network_says_why_it_does_not_run() -> None:
    net = nn.Linear(3, 2)
    told = network_cost(net, {"input": torch.rand(5, 3)}, COUNT_ONLY, backward=False)
    assert told.flops.total == 2 * 5 * 3 * 2
    with pytest.raises(ConfigError, match="needs --input SIZES"):
        network_cost(net, [], COUNT_ONLY, backward=False)
    with pytest.raises(ConfigError, match=r"Linear does not run on these inputs: .*shapes"):
        network_cost(net, [torch.rand(5, 4)], COUNT_ONLY, backward=False)
    with pytest.raises(ConfigError, match="unexpected keyword"):
        network_cost(net, {"pixels": torch.rand(5, 3)}, COUNT_ONLY, backward=False)
