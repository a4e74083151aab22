"""What the verb `cost` measures: a network, a reward, a whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from beholder.errors import ConfigError
from beholder.eval.cost import Call, Cost, Timing, cost_of_call
from beholder.eval.cost import cost as cost_of
from beholder.rewards._text_cache import TextCache

if TYPE_CHECKING:
    from beholder.rewards import Reward
    from beholder.training.pipeline import Driver, Sampling

_FEW_RUNS = {"repeats": 3, "warm_up": 1}  # of a pipeline, which takes a while


def network_cost(
    network: nn.Module,
    inputs: list[Tensor] | dict[str, Tensor],
    timing: Mapping[str, int],
    *,
    backward: bool,
) -> Cost:
    """What a forward pass costs; ConfigError if there are no inputs."""
    if not inputs:
        raise ConfigError("a network needs --input SIZES, such as --input 1,3,512,512")
    try:
        return cost_of(network, inputs, backward=backward, timing=Timing(**timing))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{type(network).__name__} does not run on these inputs: {error}; --input says their "
            "sizes, types and, if it has several, names"
        ) from error


def reward_cost(reward: Reward, pictures: Tensor, prompt: str, timing: Mapping[str, int]) -> Cost:
    """What it costs to score pictures (b, 3, h, w) for a prompt, without preparing their pixels.

    The prompt is encoded in every run, as a new one would be.
    """
    prepared = reward.preprocess(pictures.to(reward.device))
    prompts = [prompt] * len(pictures)

    @torch.no_grad()
    def score() -> object:
        return reward.score_prepared(prepared, prompts)

    call = Call(
        run=score,
        parts={reward.card.name: reward},
        pictures=len(pictures),
        device=reward.device,
        protocol={"pictures": _sizes(pictures), "prepared": _sizes(prepared), "prompt": prompt},
    )
    with _without_text_cache(reward):
        return cost_of_call(call, Timing(**timing))


def pipeline_cost(
    driver: Driver, prompts: list[str], sampling: Sampling, timing: Mapping[str, int]
) -> Cost:
    """What a whole run of a pipeline costs, with its own scheduler and without a safety checker."""
    parts = {
        name: part for name, part in driver.pipe.components.items() if isinstance(part, nn.Module)
    }
    for part in parts.values():
        _unfreeze(part)
    call = Call(
        run=lambda: driver.own_call(prompts, sampling, seeds=range(len(prompts))),
        parts=parts,
        pictures=len(prompts),
        device=driver.device,
        protocol={
            "pipeline": type(driver.pipe).__name__,
            "denoiser": driver.name,
            "dtype": str(driver.denoiser.dtype).removeprefix("torch."),
            **{name: getattr(sampling, name) for name in ("steps", "guidance", "height", "width")},
        },
    )
    return cost_of_call(call, Timing(**{**_FEW_RUNS, **timing}))


def per_step(told: Cost) -> dict[str, Any] | None:
    """Operations of a pipeline's denoiser in each step, guidance included; None of other costs."""
    steps, denoiser = told.protocol.get("steps"), told.protocol.get("denoiser")
    if not isinstance(steps, int) or not isinstance(denoiser, str):
        return None
    part = told.parts[denoiser]
    calls, flops = part.calls / steps, part.flops / steps
    return {"part": denoiser, "calls": calls, "macs": flops / 2, "flops": flops}


@contextmanager
def _without_text_cache(reward: Reward) -> Iterator[None]:
    """Inside, a reward keeps no states of texts."""
    held = [
        (part, name, value)
        for part in reward.modules()
        for name, value in vars(part).items()
        if isinstance(value, TextCache)
    ]
    for part, name, _ in held:
        setattr(part, name, TextCache(limit_bytes=0))
    try:
        yield
    finally:
        for part, name, value in held:
            setattr(part, name, value)


def _unfreeze(part: nn.Module) -> None:
    """Undo what the driver did, for the count of what a pipeline can train."""
    for parameter in part.parameters():
        parameter.requires_grad_(parameter.is_floating_point())


def _sizes(tensor: Tensor) -> str:
    return ",".join(map(str, tensor.shape))
