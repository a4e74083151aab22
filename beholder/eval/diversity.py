"""How different the pictures of one prompt are: mean LPIPS over their pairs, then over prompts.

Tuning on a reward often makes a generator repeat itself; this figure falls when it does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from beholder._pixels import Alpha
from beholder.errors import ConfigError, DataError, ImageError
from beholder.eval._estimate import Estimate, estimates, mean_of
from beholder.eval._lpips import SMALLEST, load_lpips
from beholder.images import ImageSource, as_list, read_each

Embed = Callable[[Tensor], Tensor]
"""Pixels (b, 3, s, s) in [0, 1] -> vectors (b, d), whose squared distances are compared."""
_ALONE = "no prompt has two or more readable pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversity:
    """How different pictures of the same prompt are.

    Attributes:
        mean: over the prompts with two or more readable pictures, with its interval over prompts;
            LPIPS is 0 for equal pictures.
        prompts: prompt -> mean over all pairs of its pictures.
        pictures: how many count.
        alone: prompts left out, since fewer than two of their pictures could be read.
        errors: position of a picture -> why it could not be read.
        size: side of the square to which pictures were resized, in pixels.
        draws, seed: of the bootstrap.
    """

    mean: Estimate
    prompts: Mapping[str, float]
    pictures: int
    alone: tuple[str, ...]
    errors: Mapping[int, str]
    size: int
    draws: int
    seed: int

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def diversity(
    images: ImageSource | Sequence[ImageSource],
    prompts: Sequence[str],
    *,
    embed: Embed | None = None,
    size: int = 256,
    batch_size: int = 16,
    alpha: Alpha = "white",
    draws: int = 1000,
    seed: int = 0,
) -> Diversity:
    """Mean distance of the pictures of each prompt from each other, and its mean over prompts.

    Figures compare only at the same `size`, with the same `embed` and about as many pictures a
    prompt: the mean does not depend on their number, but its interval does.

    Args:
        images: pictures of any kind, or a batch; each is squashed to a square.
        prompts: one each.
        embed: what pictures are compared by, on the device of its choice; None takes LPIPS on
            AlexNet (`load_lpips`), on the CPU, fetched once.
        size: side of the square in pixels; 256 is usual for LPIPS.
        batch_size: pictures in one pass of `embed`.
        alpha: what shows behind transparent pixels.
        draws: of the bootstrap over prompts.
        seed: of these draws.

    Raises:
        DataError: if the numbers of pictures and prompts differ.
        ConfigError: if `size`, `batch_size` or `draws` is too small.
        WeightsError: if the weights of LPIPS cannot be had.
    """
    _check(sources := as_list(images), prompts, size, batch_size, draws)
    compare = load_lpips() if embed is None else embed
    means, pictures, errors = _means(
        sources,
        prompts,
        lambda some: read_each(some, lambda p: _squashed(p, size), alpha=alpha),
        lambda squares: _spread(squares, compare, batch_size),
    )
    return Diversity(
        mean=_mean_of(means, draws, seed),
        prompts=means,
        pictures=pictures,
        alone=tuple(dict.fromkeys(prompt for prompt in prompts if prompt not in means)),
        errors=errors,
        size=size,
        draws=draws,
        seed=seed,
    )


def _mean_of(means: Mapping[str, float], draws: int, seed: int) -> Estimate:
    values = np.array(list(means.values()), dtype=np.float64)
    ratio = mean_of(values, np.ones_like(values), _ALONE)
    return estimates({"mean": ratio}, draws=draws, seed=seed)["mean"]


def _check(
    images: Sequence[ImageSource], prompts: Sequence[str], size: int, batch_size: int, draws: int
) -> None:
    if len(images) != len(prompts):
        raise DataError(f"{len(images)} pictures but {len(prompts)} prompts; give one each")
    for name, value, least in (
        ("size", size, SMALLEST),
        ("batch_size", batch_size, 1),
        ("draws", draws, 1),
    ):
        if value < least:
            raise ConfigError(f"{name} must be {least} or more, got {value}")


def _means(
    sources: Sequence[ImageSource],
    prompts: Sequence[str],
    read: Callable[[Sequence[ImageSource]], list[Tensor | ImageError]],
    spread: Callable[[Sequence[Tensor]], float],
) -> tuple[dict[str, float], int, dict[int, str]]:
    """The mean of each prompt with several pictures, how many those are, and which are unread."""
    means: dict[str, float] = {}
    errors: dict[int, str] = {}
    pictures = 0
    for prompt, places in _grouped(prompts).items():  # only its pictures are in memory at once
        squares, unread = _readable(places, read([sources[at] for at in places]))
        errors |= unread
        if len(squares) > 1:
            means[prompt] = spread(squares)
            pictures += len(squares)
    return means, pictures, dict(sorted(errors.items()))


def _grouped(prompts: Sequence[str]) -> dict[str, list[int]]:
    """The positions of each prompt's pictures."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for at, prompt in enumerate(prompts):
        places[prompt].append(at)
    return dict(places)


def _readable(
    places: Sequence[int], read: Sequence[Tensor | ImageError]
) -> tuple[list[Tensor], dict[int, str]]:
    """The pictures of some positions, and the positions of those that cannot be read."""
    squares = []
    errors = {}
    for at, square in zip(places, read, strict=True):
        if isinstance(square, ImageError):
            errors[at] = f"{square.code}: {square}"
        else:
            squares.append(square)
    return squares, errors


def _squashed(picture: Tensor, size: int) -> Float[Tensor, "3 s s"]:
    values = picture[None] / 255 if picture.dtype == torch.uint8 else picture[None].float()
    return functional.interpolate(
        values, (size, size), mode="bilinear", align_corners=False, antialias=True
    )[0]


@torch.no_grad()
def _spread(pictures: Sequence[Tensor], embed: Embed, batch_size: int) -> float:
    """Mean squared distance over all pairs, each picture embedded once."""
    batches = torch.stack(list(pictures)).split(batch_size)
    vectors = torch.cat([embed(batch).float() for batch in batches])
    distances = [
        (vectors[at + 1 :] - vectors[at]).square().sum(1) for at in range(len(vectors) - 1)
    ]
    return float(torch.cat(distances).double().mean())
