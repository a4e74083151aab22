"""Pictures as tokens of a square grid: a vision transformer, or feature maps of a timm model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards._preprocess import Interpolation, Preprocess
from beholder.rewards._richhf.joint import config_values, pretrained
from beholder.rewards._towers._encoders import ImageEncoder
from beholder.rewards._towers.timm_text import sinusoids


class Pictures(nn.Module, ABC):
    """An encoder of pictures.

    Attributes:
        width: of a token.
        grid: tokens of a side; they lie row by row behind `prefix` tokens of the whole picture.
        preprocess: what pixels go through first.
    """

    width: int
    grid: int
    prefix: int
    preprocess: Preprocess

    @abstractmethod
    @override
    def forward(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b n w"]:
        """Tokens of prepared pictures."""

    @abstractmethod
    def options(self) -> dict[str, object]:
        """JSON-ready options from which `build_pictures` rebuilds this architecture."""

    def position(self, dim: int) -> Float[Tensor, "n d"] | None:
        """Fixed positions to add to projected tokens; None if the tokens know their places."""
        return None


def build_pictures(options: Mapping[str, object]) -> Pictures:
    """The encoder that `options` describe; the key "kind" chooses it.

    * `{"kind": "vit", "image_size": 384, "patch_size": 16, …}`: transformers' `ViTModel` with
      those configuration values, random weights; or with the pretrained ones of "folder", a local
      one or a repository on the hub.
    * `{"kind": "timm", "name": …, "levels": […], "grid": …}`: see `TimmPictures`.

    Raises ConfigError if an option is unknown or missing, WeightsError if weights are.
    """
    rest = dict(options)
    kinds: dict[object, type[VitPictures] | type[TimmPictures]] = {
        "vit": VitPictures,
        "timm": TimmPictures,
    }
    kind = rest.pop("kind", None)
    if kind not in kinds:
        raise ConfigError(
            f"vision of kind {kind!r} is unknown; known: {', '.join(map(str, kinds))}"
        )
    return kinds[kind](**cast("Any", rest))


class VitPictures(Pictures):
    """A vision transformer (Dosovitskiy et al., ICLR 2021): one class token, then the patches."""

    prefix = 1

    def __init__(self, **config: object) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTModel  # noqa: PLC0415

        if "folder" in config:
            vit = pretrained(ViTModel, str(config["folder"]), add_pooling_layer=False)
        else:
            vit = ViTModel(ViTConfig(**cast("Any", config)), add_pooling_layer=False)
        self._config = vit.config
        size, patch = int(self._config.image_size), int(self._config.patch_size)
        if size % patch:
            raise ConfigError(f"image_size {size} is no multiple of patch_size {patch}")
        self.vit = cast("nn.Module", vit)
        self.width, self.grid = int(self._config.hidden_size), size // patch
        self.preprocess = squashed(size, (0.5,) * 3, (0.5,) * 3, "bilinear")

    @override
    def options(self) -> dict[str, object]:
        return {"kind": "vit", **config_values(self._config)}

    @override
    def forward(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b n w"]:
        return cast("Tensor", self.vit(pixel_values=pixel_values).last_hidden_state)


class TimmPictures(Pictures):
    """Feature maps of a timm model, laid onto one grid and side by side.

    Maps finer than the grid keep all that they hold: the values of each cell lie one after another
    in its token. Coarser ones are repeated. Channels are brought to one scale by batch statistics.

    Args:
        name: in timm.
        levels: indices of feature maps; the grid has to divide finer ones.
        grid: cells of a side.
        size: pixels of a side.
        weights: a local file; None for random ones.
        last: whether the last map is there too.
    """

    prefix = 0

    def __init__(
        self,
        name: str = "",
        levels: Sequence[int] = (),
        grid: int = 14,
        size: int = 224,
        *,
        weights: str | None = None,
        last: bool = True,
    ) -> None:
        super().__init__()
        given = {"name": name, "weights": weights, "levels": list(levels), "last": last}
        self.encoder = ImageEncoder.from_options({**given, "grid": grid})
        config = self.encoder.encoder.pretrained_cfg
        self.preprocess = squashed(size, config["mean"], config["std"], config["interpolation"])
        self.grid, self._size = grid, size
        shapes = [m.shape for m in self._empty_maps()]
        for shape in shapes:
            if max(shape[-1], grid) % min(shape[-1], grid):
                raise ConfigError(
                    f"a feature map of {name} is {shape[-1]} cells a side, which does not fit a "
                    f"grid of {grid}"
                )
        self.scales = nn.ModuleList([nn.BatchNorm2d(s[1], affine=False) for s in shapes])
        self.width = sum(s[1] * max(s[-1] // grid, 1) ** 2 for s in shapes)

    @override
    def options(self) -> dict[str, object]:
        return {"kind": "timm", **self.encoder.options(), "size": self._size}

    @override
    def forward(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b n w"]:
        maps = self.encoder.maps(pixel_values)
        laid = [self._lay(scale(m)) for scale, m in zip(self.scales, maps, strict=True)]
        return torch.cat(laid, dim=1).flatten(2).mT

    @override
    def position(self, dim: int) -> Float[Tensor, "n d"]:
        return sinusoids(self.grid, dim)[1:]

    def _lay(self, cells: Tensor) -> Tensor:
        side = cells.shape[-1]
        if side < self.grid:
            return functional.interpolate(cells, scale_factor=self.grid // side, mode="nearest")
        return functional.pixel_unshuffle(cells, side // self.grid)

    @torch.no_grad()
    def _empty_maps(self) -> list[Tensor]:
        self.encoder.eval()
        maps = self.encoder.maps(torch.zeros(1, 3, self._size, self._size))
        self.encoder.train()
        return maps


def squashed(
    size: int, mean: Sequence[float], std: Sequence[float], interpolation: str
) -> Preprocess:
    """A resize to a square that does not keep the aspect, and the encoder's normalisation."""
    kind = cast("Interpolation", interpolation)
    return Preprocess(size=size, mean=mean, std=std, fit="squash", interpolation=kind)
