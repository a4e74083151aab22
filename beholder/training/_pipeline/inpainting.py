"""The sibling of a pipeline that repaints a part of a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from beholder.errors import ConfigError
from beholder.training._pipeline.sampling import known_to
from beholder.training._pipeline.taps import vae_in_its_dtype

if TYPE_CHECKING:
    from PIL.Image import Image

_EIGHT = 8  # Stable Diffusion insists on it, whatever its VAE


class Inpainter:
    """Repaints with the weights of a text-to-image pipeline; none are loaded.

    Raises ConfigError if its family has no such sibling.
    """

    def __init__(self, pipe: Any) -> None:
        from diffusers import AutoPipelineForInpainting  # noqa: PLC0415

        try:
            self.pipe = AutoPipelineForInpainting.from_pipe(pipe)
        except ValueError as error:
            raise ConfigError(
                f"{type(pipe).__name__} has no inpainting sibling that repaints pictures; repair "
                "with a pipeline of another family, such as SD, SDXL, SD3, FLUX or Qwen-Image"
            ) from error
        self.pipe.set_progress_bar_config(disable=True)

    @property
    def multiple(self) -> int:
        """What heights and widths are multiples of."""
        return math.lcm(_EIGHT, int(self.pipe.image_processor.config.vae_scale_factor))

    def size(self, height: int, width: int, longest: int) -> tuple[int, int]:
        """The size to repaint a picture at: its own or, if it is larger, `longest` pixels long.

        Both sides are rounded to the family's multiple.
        """
        scale, step = min(1.0, longest / max(height, width)), self.multiple
        rows, columns = (max(1, round(side * scale / step)) for side in (height, width))
        return rows * step, columns * step

    def repaint(
        self,
        picture: Image,
        mask: Image,
        arguments: Mapping[str, Any],
        *,
        strength: float,
        seed: int,
    ) -> Image:
        """The picture with everything that the mask does not leave black repainted.

        Picture and mask have the size that comes out. The soft edge is repainted wholly, so that
        it can be blended afterwards; what is black is close to the picture, not equal.
        Raises ConfigError with the pipeline's reason if it cannot repaint.
        """
        height, width = picture.height, picture.width
        everything = {
            **arguments,
            "image": picture,
            "mask_image": mask.point(lambda value: 255 if value else 0),
            "height": height,
            "width": width,
            "strength": strength,
            "generator": torch.Generator(self.pipe._execution_device).manual_seed(seed),
            "output_type": "pil",
        }
        try:
            with vae_in_its_dtype(self.pipe):
                painted: Image = self.pipe(**known_to(self.pipe, everything)).images[0]
        except ValueError as error:  # what the pipeline says of its own parts and arguments
            raise ConfigError(f"{type(self.pipe).__name__} cannot repaint: {error}") from error
        return painted
