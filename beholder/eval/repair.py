"""From a map of faults to the mask that a pipeline repaints, and whether the repair is one.

Liang et al. (CVPR 2024, section 6) threshold and dilate the implausibility map, repaint inside and
choose by the plausibility score. Specks are removed before and the edge is softened afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from beholder._page.thumbnails import check_map
from beholder.errors import ConfigError, DataError
from beholder.types import Scores

if TYPE_CHECKING:
    from PIL.Image import Image

_REACH = 3  # standard deviations of a feather along each axis


@dataclass(frozen=True, kw_only=True)
class RepairMask:
    """How a map of faults becomes a mask; lengths are shares of the map's shorter side.

    With a dilation of at least 4.25 feathers, as by default, everything that is left of the marked
    regions is repainted wholly: the soft edge lies outside. A radius below a pixel does nothing.

    Attributes:
        threshold: a pixel above it is marked.
        opening: radius of the disc that has to fit into a marked region; smaller specks go.
        dilation: radius of the disc by which what is left grows.
        feather: standard deviation of the Gaussian that softens the edge.
    """

    threshold: float = 0.5
    opening: float = 0.01
    dilation: float = 0.03
    feather: float = 0.007

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}, expected a number in [0, 1)")
        for name in ("opening", "dilation", "feather"):
            if not 0 <= (length := getattr(self, name)) <= 1:  # false for NaN
                raise ConfigError(f"{name} is {length}, expected a share of the side in [0, 1]")


def repair_mask(marked: Tensor, config: RepairMask | None = None) -> Float[Tensor, "*b h w"]:
    """What to repaint: 1 wholly, 0 not at all, between them at the soft edge; all 0 if no fault.

    `marked` (*b, h, w) holds faults in [0, 1]. Give it at the picture's size, as
    `Scores.picture_maps` does, so that discs are round there. Raises DataError if it has fewer
    than two axes or leaves [0, 1].
    """
    config = config or RepairMask()
    check_map(marked, "fault")
    side = min(marked.shape[-2:])
    found = opened(marked > config.threshold, config.opening * side)
    grown = dilated(found, config.dilation * side)
    return feathered(grown.to(torch.float32), config.feather * side)


def inpainting_mask(
    marked: Tensor, size: tuple[int, int], config: RepairMask | None = None
) -> Image | None:
    """The mask of one map (h, w) at a picture's height and width; None if nothing is to repair.

    White is repainted, as the inpainting pipelines of diffusers want it. They stretch picture and
    mask alike to their `height` and `width`, which are multiples of 8 (SD3 and FLUX: 16): pass
    these, or the picture is repainted at the model's default size. They cut the mask at 0.5,
    unless `pipe.mask_processor.register_to_config(do_binarize=False)`. Afterwards
    `PIL.Image.composite(repainted, picture, mask)` blends the soft edge and keeps every pixel
    outside exactly. Raises DataError as `repair_mask`, or if there is more than one map.
    """
    from PIL import Image  # noqa: PLC0415

    check_map(marked, "fault")
    if marked.ndim != 2:
        raise DataError(f"the map is {tuple(marked.shape)}, expected one map (height, width)")
    scaled = functional.interpolate(
        marked[None, None].float(), list(size), mode="bilinear", antialias=True
    )[0, 0]
    mask = repair_mask(scaled.clamp(0, 1), config)
    if not mask.any():
        return None
    return Image.fromarray((mask * 255).round().to(torch.uint8).cpu().numpy())


def dilated(mask: Bool[Tensor, "*b h w"], radius: float) -> Bool[Tensor, "*b h w"]:
    """Every pixel whose centre lies within `radius` pixels of a marked one's; exact Euclidean.

    A disc is a stack of rows: each is grown sideways by running sums, so the cost is linear in
    the radius and not in its square.
    """
    height = mask.shape[-2]
    grown = torch.zeros_like(mask)
    for rows in range(min(int(radius), height - 1) + 1):
        wide = _widened(mask, int(math.sqrt(radius**2 - rows**2)))
        grown[..., rows:, :] |= wide[..., : height - rows, :]
        grown[..., : height - rows, :] |= wide[..., rows:, :]
    return grown


def opened(mask: Bool[Tensor, "*b h w"], radius: float) -> Bool[Tensor, "*b h w"]:
    """The union of all discs of `radius` pixels that fit into the mask.

    A disc may reach over the border, so that a fault at the edge of the picture stays.
    """
    eroded = ~dilated(~mask, radius)
    return dilated(eroded, radius)


def feathered(mask: Float[Tensor, "*b h w"], sigma: float) -> Float[Tensor, "*b h w"]:
    """The mask with its edge softened by a Gaussian of `sigma` pixels, cut at three of them.

    Farther than that from an edge it is as before. The border of the picture is no edge.
    """
    reach = int(_REACH * sigma)
    if reach == 0:
        return mask
    steps = torch.arange(-reach, reach + 1, device=mask.device) / sigma
    weights = torch.exp(-steps.square() / 2)
    soft = mask.reshape(-1, 1, *mask.shape[-2:])
    for kernel, pad in (
        (weights[:, None], (0, 0, reach, reach)),
        (weights[None, :], (reach, reach, 0, 0)),
    ):
        outside = functional.pad(soft, pad, mode="replicate")
        soft = functional.conv2d(outside, kernel[None, None] / weights.sum())
    return soft.clamp(0, 1).reshape(mask.shape)


def _widened(mask: Bool[Tensor, "*b h w"], half: int) -> Bool[Tensor, "*b h w"]:
    """Every pixel with a marked one at most `half` columns away in its row."""
    width = mask.shape[-1]
    before = functional.pad(mask.cumsum(-1, dtype=torch.int32), (1, 0))
    columns = torch.arange(width, device=mask.device)
    right = before.index_select(-1, (columns + half + 1).clamp(max=width))
    return right > before.index_select(-1, (columns - half).clamp(min=0))


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """When a repair is better: its score rises and its map's mass falls, each by more than this.

    Attributes:
        aspect: the score, or "total".
        kind: the map.
        min_gain: of the score.
        min_mass_drop: of the mass, the mean of the map.
    """

    aspect: str = "plausibility"
    kind: str = "implausibility"
    min_gain: float = 0.0
    min_mass_drop: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a repair is kept and why; numbers that are not known are NaN."""

    accepted: bool
    reason: str
    gain: float
    mass_before: float
    mass_after: float


def judge_repairs(
    before: Scores,
    after: Scores,
    rule: Acceptance | None = None,
    *,
    within: Tensor | None = None,
) -> list[Verdict]:
    """One verdict for each repaired picture; one that could not be scored is refused.

    Args:
        before: scores of the pictures as they were; one row stands for all candidates.
        after: scores of the repaired pictures with the same prompts, by the same reward.
        rule: when a repair is better.
        within: a mask (h, w) such as `repair_mask` gives; the mass is the map's mean weighted by
            it. None takes the whole map.

    Raises:
        DataError: if the rows do not fit, the reward has no such score or map, or the mask is
            empty.
    """
    rule = rule or Acceptance()
    if len(before) not in (1, len(after)):
        raise DataError(
            f"{len(before)} pictures before but {len(after)} repaired; give one before each, or "
            "one for all"
        )
    first = _measured(before, rule, within)
    firsts = first * len(after) if len(before) == 1 else first
    seconds = _measured(after, rule, within)
    return [_verdict(old, new, rule) for old, new in zip(firsts, seconds, strict=True)]


def watched(verdicts: Sequence[Verdict], before: Scores, after: Scores, name: str) -> list[Verdict]:
    """The verdicts, with those refused that a second reward finds worse: its total falls.

    A reward that judges its own repairs is gamed like any other. `before` is one row, of the
    picture as it was; `after` has a row for each verdict. Both are of the reward of that `name`.
    Raises DataError if the rows do not fit.
    """
    if len(before) != 1 or len(after) != len(verdicts):
        raise DataError(
            f"{len(before)} pictures before and {len(after)} after by {name}; expected 1 and "
            f"{len(verdicts)}"
        )
    first, fault = before.total.item(), before.errors.get(0)
    return [
        _watched(verdict, name, (first, total), fault or after.errors.get(row))
        for row, (verdict, total) in enumerate(zip(verdicts, after.total.tolist(), strict=True))
    ]


def _watched(
    verdict: Verdict, name: str, totals: tuple[float, float], fault: str | None
) -> Verdict:
    if not verdict.accepted:
        return verdict
    first, then = totals
    if fault:
        return replace(verdict, accepted=False, reason=f"not scored by {name}: {fault}")
    said = f"{name}, which watches, {first:.4g} to {then:.4g}"
    if then >= first:
        return replace(verdict, reason=f"{verdict.reason}; {said}")
    return replace(verdict, accepted=False, reason=f"{said} is a fall; {verdict.reason}")


@dataclass(frozen=True, slots=True)
class _Measured:
    """A row's score and mass, or why there are none."""

    score: float
    mass: float
    fault: str = ""


def _measured(scores: Scores, rule: Acceptance, within: Tensor | None) -> list[_Measured]:
    if len(scores.errors) == len(scores):  # such scores carry no maps
        return [_Measured(math.nan, math.nan, scores.errors[row]) for row in range(len(scores))]
    known = {"total": scores.total, **scores.aspects}
    values, maps = _named(known, rule.aspect, "score"), _named(scores.maps, rule.kind, "map")
    return [
        _Measured(score, mass, scores.errors.get(row) or _unknown(score, mass))
        for row, (score, mass) in enumerate(
            zip(values.tolist(), _masses(maps, within).tolist(), strict=True)
        )
    ]


def _named(known: Mapping[str, Tensor], name: str, what: str) -> Tensor:
    if name not in known:
        raise DataError(f"there is no {what} {name!r}; the reward gives {', '.join(known)}")
    return known[name].detach()


def _masses(maps: Float[Tensor, "b h w"], within: Tensor | None) -> Float[Tensor, " b"]:
    if within is None:
        return maps.double().mean((-2, -1))
    weights = functional.interpolate(
        within[None, None].double(), list(maps.shape[-2:]), mode="bilinear", antialias=True
    )[0, 0].to(maps.device)
    if not weights.sum() > 0:
        raise DataError("the mask is empty; nothing was to repair")
    return (maps.double() * weights).sum((-2, -1)) / weights.sum()


def _unknown(score: float, mass: float) -> str:
    finite = math.isfinite(score) and math.isfinite(mass)
    return "" if finite else f"non-finite: score {score}, mass {mass}"


def _verdict(before: _Measured, after: _Measured, rule: Acceptance) -> Verdict:
    gain, drop = after.score - before.score, before.mass - after.mass
    score = f"{rule.aspect} {before.score:.4g} to {after.score:.4g}"
    mass = f"{rule.kind} mass {before.mass:.4g} to {after.mass:.4g}"
    refusals = (
        (f"not scored before the repair: {before.fault}", bool(before.fault)),
        (f"not scored after the repair: {after.fault}", bool(after.fault)),
        (f"{score} is no gain above {rule.min_gain:g}", not gain > rule.min_gain),
        (f"{mass} is no drop above {rule.min_mass_drop:g}", not drop > rule.min_mass_drop),
    )
    reason = next((why for why, refused in refusals if refused), "")
    return Verdict(not reason, reason or f"{score}, {mass}", gain, before.mass, after.mass)
