"""A picture is repainted where a reward marks faults; kept if the reward then finds it better."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval.repair import (
    Acceptance,
    RepairMask,
    Verdict,
    inpainting_mask,
    judge_repairs,
    watched,
)
from beholder.images import ImageSource, read_image
from beholder.rewards import Reward
from beholder.training._guidance.metering import Progress, metered
from beholder.training._pipeline.inpainting import Inpainter
from beholder.training._pipeline.sampling import call_arguments
from beholder.training.fit.learner import require
from beholder.training.pipeline import Driver, Sampling
from beholder.types import Scores

if TYPE_CHECKING:
    from PIL.Image import Image

_LONGEST = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairConfig:
    """How a picture is repaired.

    Attributes:
        strength: share of the sampling steps that are run on the noised picture: how far it may
            go from what it was; in (0, 1].
        attempts: repaints to choose from.
        seed: of the first; the others count on.
        mask: from the map of faults to the region.
        acceptance: when a repair is better.
    """

    strength: float = 0.7
    attempts: int = 4
    seed: int = 0
    mask: RepairMask = field(default_factory=RepairMask)
    acceptance: Acceptance = field(default_factory=Acceptance)

    def __post_init__(self) -> None:
        require("strength", self.strength, above=0, most=1)
        require("attempts", self.attempts, above=0)
        require("seed", self.seed, least=0)


@dataclass(frozen=True, slots=True)
class Repaired:
    """A picture after its repair, or as it was.

    Attributes:
        pixels: the picture; outside the mask every value is the one that it had.
        accepted: whether a repair was kept.
        reason: why it was, or why none was.
        seed: of the repair that was kept; None if none was.
        seeds: of all attempts.
        verdicts: on all attempts.
        mask: what was repainted: 1 wholly, 0 not at all; None if there was nothing to repair.
        before: scores of the picture.
        after: scores of all attempts; None if there were none.
        steps_run: steps of the denoiser.
    """

    pixels: UInt8[Tensor, "3 h w"]
    accepted: bool
    reason: str
    seed: int | None
    seeds: tuple[int, ...]
    verdicts: tuple[Verdict, ...]
    mask: Float[Tensor, "h w"] | None
    before: Scores
    after: Scores | None
    steps_run: int


def repair(
    driver: Driver,
    reward: Reward,
    picture: ImageSource,
    prompt: str,
    sampling: Sampling,
    config: RepairConfig | None = None,
    *,
    held_out: Reward | None = None,
    progress: Progress | None = None,
) -> Repaired:
    """The picture with its faults repainted, if the reward finds a repair better.

    The reward's map of faults becomes a mask, the pipeline's inpainting sibling repaints inside,
    and the repaint is laid over the picture through the mask, so that nothing else changes (Liang
    et al., CVPR 2024, section 6). Of several attempts the one whose score rises most is kept.

    Args:
        driver: whose pipeline repaints.
        reward: one that draws maps, such as richhf.
        picture: of any kind and size; transparent pixels are seen on white.
        prompt: of the picture.
        sampling: `steps` times `strength` are run. A picture whose longer side is above that of
            `height` and `width`, or above 1024 without them, is repainted at it and stretched
            back; what is not repainted keeps its resolution.
        config: how; None takes the defaults.
        held_out: a second reward, whose total must not fall: it sees what the first is blind to.
        progress: counts the steps of all attempts.

    Raises:
        ConfigError: if the reward lacks the map or the score, the family has no inpainting
            pipeline, or no step is left to run.
        DataError: if the picture or the prompt cannot be scored.
    """
    config = config or RepairConfig()
    pixels = _eight_bits(read_image(picture))
    before = reward.score([pixels], [prompt])
    mask = inpainting_mask(_faults(before, reward, config.acceptance), _size(pixels), config.mask)
    if mask is None:
        reason = f"nothing to repair: no {config.acceptance.kind} above {config.mask.threshold:g}"
        return Repaired(pixels, False, reason, None, (), (), None, before, None, 0)  # noqa: FBT003
    judges = (reward, held_out)
    return _Repair(driver, judges, prompt, sampling, config).of(pixels, mask, before, progress)


class _Repair:
    """Attempts at one picture."""

    def __init__(
        self,
        driver: Driver,
        judges: tuple[Reward, Reward | None],
        prompt: str,
        sampling: Sampling,
        config: RepairConfig,
    ) -> None:
        if not int(sampling.steps * config.strength):
            raise ConfigError(
                f"strength {config.strength} of {sampling.steps} steps leaves none to run; raise "
                "one of them"
            )
        self._inpainter = Inpainter(driver.pipe)
        self._arguments = call_arguments(driver.pipe, driver.quirk, [prompt], sampling)
        self._longest = max(sampling.height or 0, sampling.width or 0) or _LONGEST
        self._reward, self._held_out = judges
        self._prompt, self._config = prompt, config

    def of(
        self,
        pixels: UInt8[Tensor, "3 h w"],
        mask: Image,
        before: Scores,
        progress: Progress | None,
    ) -> Repaired:
        config = self._config
        seeds = tuple(range(config.seed, config.seed + config.attempts))
        with metered(self._inpainter.pipe.scheduler, progress) as meter:
            attempts = [self._attempt(pixels, mask, seed) for seed in seeds]
        after = self._reward.score(attempts, [self._prompt] * len(seeds))
        verdicts = self._watched(judge_repairs(before, after, config.acceptance), pixels, attempts)
        best = max(range(len(seeds)), key=lambda k: _merit(verdicts[k]))
        accepted = verdicts[best].accepted
        return Repaired(
            pixels=attempts[best] if accepted else pixels,
            accepted=accepted,
            reason=verdicts[best].reason,
            seed=seeds[best] if accepted else None,
            seeds=seeds,
            verdicts=tuple(verdicts),
            mask=torch.from_numpy(np.array(mask)).float() / 255,
            before=before,
            after=after,
            steps_run=meter.steps,
        )

    def _watched(
        self, verdicts: list[Verdict], pixels: Tensor, attempts: list[Tensor]
    ) -> list[Verdict]:
        other = self._held_out
        if other is None:
            return verdicts
        before = other.score([pixels], [self._prompt])
        after = other.score(attempts, [self._prompt] * len(attempts))
        return watched(verdicts, before, after, other.card.name)

    def _attempt(
        self, pixels: UInt8[Tensor, "3 h w"], mask: Image, seed: int
    ) -> UInt8[Tensor, "3 h w"]:
        from PIL import Image  # noqa: PLC0415

        picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        height, width = self._inpainter.size(picture.height, picture.width, self._longest)
        painted = self._inpainter.repaint(
            picture.resize((width, height), Image.Resampling.LANCZOS),
            mask.resize((width, height), Image.Resampling.BILINEAR),
            self._arguments,
            strength=self._config.strength,
            seed=seed,
        ).resize(picture.size, Image.Resampling.LANCZOS)
        whole = Image.composite(painted, picture, mask)  # exact where the mask is black
        return torch.from_numpy(np.array(whole)).permute(2, 0, 1).contiguous()


def _faults(before: Scores, reward: Reward, rule: Acceptance) -> Float[Tensor, "h w"]:
    """The map that is repaired by; the reward must know the score as well."""
    if before.errors:
        raise DataError(f"the picture cannot be judged: {before.errors[0]}")
    scores, name = ("total", *before.aspects), reward.card.name
    if rule.aspect not in scores:
        raise ConfigError(f"reward {name} gives no {rule.aspect!r}; it gives {', '.join(scores)}")
    if rule.kind not in before.maps:
        known = ", ".join(before.maps) or "none"
        raise ConfigError(f"reward {name} draws no map {rule.kind!r}; its maps: {known}")
    return before.maps[rule.kind][0]


def _merit(verdict: Verdict) -> tuple[bool, float]:
    """Accepted ones first, then by what the score gained."""
    return verdict.accepted, -math.inf if math.isnan(verdict.gain) else verdict.gain


def _eight_bits(pixels: Tensor) -> UInt8[Tensor, "3 h w"]:
    pixels = pixels.detach().cpu()
    if pixels.dtype == torch.uint8:
        return pixels.contiguous()
    return (pixels * 255).round().clamp(0, 255).to(torch.uint8)


def _size(pixels: Tensor) -> tuple[int, int]:
    return int(pixels.shape[-2]), int(pixels.shape[-1])
