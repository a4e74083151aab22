"""One number a picture from a reward, whatever a trainer hands over."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import BeholderError, ConfigError, DataError
from beholder.images import ImageSource, as_list
from beholder.rewards import Reward, load
from beholder.rewards._base import check_aspect
from beholder.types import Scores

_SHOWN_FAULTS = 3


class Scorer:
    """A reward's aspect, asked by a trainer.

    Args:
        reward: frozen and put in eval mode; autocast does not reach it.
        aspect: "total" or one of its aspects.
        on_error: "raise" or "nan", of a picture without a score.
        needs_gradient: whether it must be differentiable.

    Raises:
        ConfigError: if an argument is unknown, or the reward has no such aspect or no gradient.
    """

    def __init__(
        self, reward: Reward, aspect: str, on_error: str, *, needs_gradient: bool = False
    ) -> None:
        check_aspect(reward.card, aspect)
        if on_error not in {"raise", "nan"}:
            raise ConfigError(f"on_error must be raise or nan, got {on_error!r}")
        if needs_gradient and not reward.card.differentiable:
            raise ConfigError(f"reward {reward.card.name} has no gradient; this trainer needs one")
        self.reward = reward.requires_grad_(requires_grad=False).eval()
        self._aspect, self._on_error = aspect, on_error
        self._lock = threading.Lock()  # tokenizers fail in several threads, where trainers score

    def scores(self, images: Any, prompts: Any) -> Scores:
        """Every score of pictures, on the CPU.

        Pictures are a batch of either layout or a list, of floats in [0, 1] or of 8 bits; prompts
        are one text, one each, or None.
        """
        with self._lock, torch.autocast(self.reward.device.type, enabled=False):
            return self.reward.score(_pictures(images), _texts(prompts))

    def values(self, images: Any, prompts: Any) -> Float[Tensor, " b"]:
        """The aspect's scores, on the CPU."""
        return self.chosen(self.scores(images, prompts))

    def gradient(self, pixels: Any, prompts: Any) -> Float[Tensor, " b"]:
        """The aspect's scores with gradient to the pixels, on their device."""
        if not isinstance(pixels, Tensor) or not pixels.is_floating_point():
            raise DataError(
                "scores with gradient need one float tensor (b, 3, h, w), got "
                f"{pixels.dtype if isinstance(pixels, Tensor) else type(pixels).__name__}"
            )
        with self._lock, torch.autocast(self.reward.device.type, enabled=False):
            scores = self.reward(pixels.float().to(self.reward.device), _texts(prompts))
        return self.chosen(scores).float().to(pixels.device)

    def chosen(self, scores: Scores) -> Float[Tensor, " b"]:
        """The aspect; BeholderError names the rows without one, unless NaN was asked for."""
        values, faults = self.known(scores), self.faults(scores)
        if not faults or self._on_error == "nan":
            return values
        shown = "; ".join(f"row {k}: {why}" for k, why in list(faults.items())[:_SHOWN_FAULTS])
        more = "; …" if len(faults) > _SHOWN_FAULTS else ""
        raise BeholderError(
            f"{len(faults)} of {len(values)} pictures have no score ({shown}{more}); "
            "look at what made them"
        )

    def known(self, scores: Scores) -> Float[Tensor, " b"]:
        """The aspect, NaN where it has no finite score."""
        values = scores.named(self._aspect)
        return values.where(values.isfinite(), torch.nan)

    def faults(self, scores: Scores) -> dict[int, str]:
        """Row -> why the aspect has no finite score."""
        values = scores.named(self._aspect).tolist()
        rows = [row for row, value in enumerate(values) if not np.isfinite(value)]
        return {row: scores.errors.get(row, f"the reward gave {values[row]}") for row in rows}


def load_scorer(given: Mapping[str, Any], device: Any, dtype: torch.dtype | None) -> Scorer:
    """From one flat mapping: `reward`, `aspect`, `on_error`, and what else are options of `load`.

    Raises ConfigError if `reward` is missing, or as `load` and `Scorer` do.
    """
    options = dict(given)
    spec = options.pop("reward", None)
    if not isinstance(spec, str):
        raise ConfigError(
            "the reward's entry needs `reward`: what beholder.load takes, such as mps; "
            f"got {spec!r}"
        )
    aspect, on_error = options.pop("aspect", "total"), options.pop("on_error", "raise")
    return Scorer(load(spec, device=device, dtype=dtype, **options), aspect, on_error)


def _texts(prompts: Any) -> Any:
    return prompts if prompts is None or isinstance(prompts, str) else list(prompts)


def _pictures(images: Any) -> list[ImageSource]:
    """The pictures one by one, each in the layout that `read_image` wants."""
    pictures: list[ImageSource] = []
    for picture in as_list(images):
        is_batch = isinstance(picture, Tensor | np.ndarray) and picture.ndim == 4
        pictures += as_list(picture) if is_batch else [picture]
    return [_laid_out(picture) for picture in pictures]


def _laid_out(picture: ImageSource) -> ImageSource:
    """Channels first for a tensor, last for an array; what is neither is left as it is."""
    if not isinstance(picture, Tensor | np.ndarray) or picture.ndim != 3:
        return picture
    first, last = (picture.shape[axis] in {1, 3} for axis in (0, 2))
    if isinstance(picture, Tensor):
        return picture.permute(2, 0, 1) if last and not first else picture
    return picture.transpose(1, 2, 0) if first and not last else picture
