"""Drivers of tiny pipelines that tests share; whoever changes one makes their own."""

from functools import cache

import torch

from beholder.training._pipeline.tiny import kl_vae
from beholder.training._tuning.signal import Signal
from beholder.training.pipeline import Driver, Sampling
from tests.training.tiny_pipelines import tiny, tiny_sampling
from tests.training.toy import Redness

PROMPTS = ["a cat", "a dog"]
SMALL = {"height": 16, "width": 16}


@cache
def driver(name: str) -> Driver:
    return Driver(tiny(name))


def small(name: str, **changes: object) -> Sampling:
    """Four steps to pictures of 16 by 16 pixels, or the least that the family makes."""
    return tiny_sampling(name, **{**({} if name == "sana" else SMALL), **changes})


def redness() -> Signal:
    return Signal(Redness())


def plain(name: str, seeds: list[int], sampling: Sampling | None = None) -> torch.Tensor:
    """What the driver gives without a reward."""
    prompts = [PROMPTS[k % 2] for k in range(len(seeds))]
    with torch.no_grad():
        return driver(name).sample(prompts, sampling or small(name), seeds=seeds).pixels


@cache
def sixteen_channels() -> Driver:
    """Stable Diffusion 3 with the 16 latent channels without which it cannot inpaint."""
    from diffusers import SD3Transformer2DModel

    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        pipe = tiny("sd3")
        pipe.vae = kl_vae(16, scaling_factor=1.5, shift_factor=0.06)
        config = {**pipe.transformer.config, "in_channels": 16, "out_channels": 16}
        pipe.transformer = SD3Transformer2DModel.from_config(config).eval()
    return Driver(pipe)


def inpainting(name: str) -> Driver:
    """A driver whose family repaints."""
    return sixteen_channels() if name == "sd3" else driver(name)
