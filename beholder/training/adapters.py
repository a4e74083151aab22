"""Our rewards in the shapes that other trainers call; docs/adapters.md shows each in use.

A picture without a score is never a silent 0: it raises, or is NaN where that was asked for. A
reward that is adapted is frozen, in eval mode, and computes in its own precision whatever autocast
the trainer is in.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.rewards import Reward
from beholder.rewards._preprocess import CLIP_MEAN, CLIP_STD, straight_through
from beholder.training._adapters.scorer import Scorer, load_scorer
from beholder.training._adapters.wire import flow_factory_response, unirl_response

__all__ = [
    "FlowFactoryOutput",
    "FlowFactoryReward",
    "PathsReward",
    "RenoReward",
    "UniRLReward",
    "as_loss_fn",
    "as_reward_fn",
    "flow_factory_response",
    "flow_grpo_factory",
    "unirl_response",
]

RewardFn = Callable[..., tuple[Tensor, dict[str, object]]]


def as_reward_fn(
    reward: Reward,
    *,
    aspect: str = "total",
    name: str | None = None,
    on_error: str = "raise",
    differentiable: bool = False,
) -> RewardFn:
    """A plain function `fn(images, prompts, metadata=None, **ignored) -> (scores, {})`.

    It serves ddpo-pytorch, TRL up to 0.23 (DDPO, and AlignProp with `differentiable`), flow_grpo
    and DiffusionNFT. Pictures are tensors (b, 3, h, w) or (b, h, w, 3), arrays of either layout, or
    lists; float in [0, 1] or uint8. Scores (b) are float32 on the CPU without gradient.

    Args:
        reward: frozen and put in eval mode.
        aspect: "total" or one of the reward's aspects.
        name: `__name__` of the function, which trainers log; None takes the reward's.
        on_error: "raise", or "nan", of a picture without a score. These trainers do not look for
            NaN: a single one makes every trained weight NaN.
        differentiable: pictures are one float tensor (b, 3, h, w); scores are on its device and
            carry its gradient.

    Raises:
        ConfigError: if the reward has no such aspect or gradient, or `on_error` is unknown.
            The function raises BeholderError that names rows and reasons.
    """
    scorer = Scorer(reward, aspect, on_error, needs_gradient=differentiable)
    score = scorer.gradient if differentiable else scorer.values

    def fn(
        images: object, prompts: object, metadata: object = None, **ignored: object
    ) -> tuple[Tensor, dict[str, object]]:
        return score(images, prompts), {}

    fn.__name__ = fn.__qualname__ = name or reward.card.name
    return fn


def flow_grpo_factory(
    reward: Reward, *, aspect: str = "total", on_error: str = "raise"
) -> Callable[[Any], RewardFn]:
    """What flow_grpo and DiffusionNFT list by name: `factory(device)` gives the reward function.

    The reward moves to that device. Arguments and errors as in `as_reward_fn`.
    """
    fn = as_reward_fn(reward, aspect=aspect, on_error=on_error)

    def factory(device: Any) -> RewardFn:
        reward.to(device)
        return fn

    return factory


def as_loss_fn(
    reward: Reward, *, aspect: str = "total", on_error: str = "raise"
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The AlignProp repository's `loss_fn(images[, prompts]) -> (-scores, scores)`, with gradient.

    Pictures (b, 3, h, w) are as a VAE decodes them, in [-1, 1]; what lies outside is clamped and
    keeps its gradient. Arguments and errors as in `as_reward_fn`.
    """
    scorer = Scorer(reward, aspect, on_error, needs_gradient=True)

    def loss_fn(images: Tensor, prompts: object = None) -> tuple[Tensor, Tensor]:
        scores = scorer.gradient(_clamped(images.float() / 2 + 0.5), prompts)
        return -scores, scores

    return loss_fn


@dataclass(frozen=True, slots=True)
class FlowFactoryOutput:
    """What Flow-Factory reads of a reward.

    Attributes:
        rewards: (b), float32 on the CPU.
        extra_info: the reward's aspects, (b) each.
    """

    rewards: Tensor
    extra_info: dict[str, Tensor]


@final
class FlowFactoryReward:
    """A pointwise reward of Flow-Factory, named in its YAML by this class's dotted path.

    Of the entry under `rewards:`, `reward` is what `beholder.load` takes, `aspect` and `on_error`
    are those of `as_reward_fn`, and further keys that Flow-Factory does not know are options of
    `load`. `device` and `dtype` are Flow-Factory's; it defaults to bfloat16.

    Args:
        config: Flow-Factory's RewardArguments.
        accelerator: whose device stands for "cuda".

    Raises:
        ConfigError: if `reward` is missing, or a key is unknown to the reward.
    """

    required_fields = ("image", "prompt")
    use_tensor_inputs = True

    def __init__(self, config: Any, accelerator: Any) -> None:
        self.config, self.accelerator, self.dtype = config, accelerator, config.dtype
        wants_accelerator = torch.device(config.device) == torch.device("cuda")
        self.device = torch.device(accelerator.device if wants_accelerator else config.device)
        self._scorer = load_scorer(getattr(config, "extra_kwargs", {}), self.device, self.dtype)
        self.model = self._scorer.reward
        _join_flow_factory(type(self))

    def __call__(
        self, prompt: object, image: object = None, **ignored: object
    ) -> FlowFactoryOutput:
        """Scores of pictures, tensors or PIL, one prompt each."""
        if image is None:
            raise DataError("this reward scores pictures, but the samples have no `image`")
        scores = self._scorer.scores(image, prompt)
        return FlowFactoryOutput(self._scorer.chosen(scores), dict(scores.aspects))

    def to(self, device: Any) -> FlowFactoryReward:
        """Move the reward."""
        self.model.to(device)
        self.device = torch.device(device)
        return self


@final
class UniRLReward:
    """A local reward backend of UniRL, named in its YAML as `_target_`; also for its ReFL.

    Args:
        reward: what `beholder.load` takes.
        aspect: as in `as_reward_fn`.
        device: where the reward goes.
        prompt_source: "generation" scores against the prompt that the model was given, "original"
            against the user's.
        options: further options of `load`.

    Raises:
        ConfigError: if the reward, an option, the aspect or the prompt source is unknown.
    """

    input_kind = preferred_input_kind = "image"

    def __init__(
        self,
        reward: str,
        *,
        aspect: str = "total",
        device: str = "cuda",
        prompt_source: str = "generation",
        **options: object,
    ) -> None:
        if prompt_source not in {"generation", "original"}:
            raise ConfigError(
                f"prompt_source must be generation or original, got {prompt_source!r}"
            )
        self.prompt_source, self.device = prompt_source, device
        given = {"reward": reward, "aspect": aspect, **options}
        self._scorer = load_scorer(given, device, None)
        self.model_name = self._scorer.reward.card.name

    def compute_rewards(self, request: Any) -> Any:
        """A RewardResponse to a RewardRequest; UniRL stops at a picture that has no score."""
        respond = importlib.import_module("unirl.types.reward").RewardResponse
        scores = self._scorer.scores(request.images, self._prompts(request))
        values = self._scorer.known(scores).tolist()
        faults = self._scorer.faults(scores)
        return respond(
            rewards=values,
            component_rewards={name: part.tolist() for name, part in scores.aspects.items()},
            successes=[row not in faults for row in range(len(values))],
            errors=[faults.get(row) for row in range(len(values))],
        )

    def compute_rewards_differentiable(
        self, media_tensor: Tensor, prompts: Sequence[str], records: object = None
    ) -> Tensor:
        """Scores (b) with gradient of pictures (b, 3, h, w) in [0, 1]."""
        return self._scorer.gradient(media_tensor, prompts)

    def get_model_name(self) -> str:
        """The reward's name."""
        return self.model_name

    def is_available(self) -> bool:
        """True: the reward was loaded when this was made."""
        return True

    def offload(self) -> None:
        """Move the reward to the CPU."""
        self._scorer.reward.to("cpu")

    def onload(self) -> None:
        """Move the reward back."""
        self._scorer.reward.to(self.device)

    def dispose(self) -> None:
        """Let go of the device's memory."""
        self.offload()

    def _prompts(self, request: Any) -> list[str] | None:
        is_original = self.prompt_source == "original"
        prompt = request.original_prompt if is_original else request.generation_prompt
        return None if prompt is None else list(prompt.texts)


@final
class RenoReward:
    """One item of ReNO's list of reward losses.

    Attributes:
        name: what ReNO logs.
        weighting: what ReNO multiplies the loss by.
    """

    def __init__(
        self,
        reward: Reward,
        *,
        weighting: float = 1.0,
        aspect: str = "total",
        name: str | None = None,
    ) -> None:
        self._scorer = Scorer(reward, aspect, "raise", needs_gradient=True)
        self.name = name or reward.card.name
        self.weighting = weighting

    def __call__(self, image: Tensor, prompt: str) -> Float[Tensor, ""]:
        """-score, the mean over pictures, with gradient; ReNO itself applies `weighting`.

        `image` (b, 3, 224, 224) is normalised for CLIP. That is undone; what the resize left
        outside [0, 1] is clamped and keeps its gradient.
        """
        values = image.float()
        mean, std = (values.new_tensor(s)[:, None, None] for s in (CLIP_MEAN, CLIP_STD))
        pixels = _clamped(values * std + mean)
        return -self._scorer.gradient(pixels, [prompt] * len(pixels)).mean()


@final
class PathsReward:
    """An object with `.reward(paths, prompts)`, as DanceGRPO calls HPSv3.

    Args:
        reward, aspect, on_error: as in `as_reward_fn`.
        two_columns: give (n, 2) as HPSv3 does: scores, and NaN for their deviation, which is not
            known.
    """

    def __init__(
        self,
        reward: Reward,
        *,
        aspect: str = "total",
        on_error: str = "raise",
        two_columns: bool = False,
    ) -> None:
        self._scorer = Scorer(reward, aspect, on_error)
        self._two_columns = two_columns

    def reward(self, image_paths: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """Scores (n) of picture files, float32 on the reward's device, where NCCL gathers them."""
        scores = self._scorer.values(image_paths, prompts).to(self._scorer.reward.device)
        if not self._two_columns:
            return scores
        return torch.stack([scores, torch.full_like(scores, torch.nan)], dim=1)


def _join_flow_factory(kind: type) -> None:
    """Be an instance of its base class: other objects are left out there without a word."""
    room = sys.modules.get("flow_factory.rewards.abc")
    if room is not None:
        room.PointwiseRewardModel.register(kind)


def _clamped(pixels: Tensor) -> Tensor:
    return straight_through(pixels.clamp(0, 1), pixels)
