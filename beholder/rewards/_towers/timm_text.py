"""Towers from a timm picture encoder beside a transformers text encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.weights import read_state
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._base import take_options
from beholder.rewards._towers import _encoders
from beholder.rewards._towers._base import Features, Span, Towers
from beholder.rewards._towers.clip import prepare


class TimmTextTowers(Towers):
    """Two encoders that never met, joined by linear projections that are trained.

    Picture tokens are the cells of a grid: the encoder's last feature map and those of `levels`,
    each pooled to the grid, side by side. Their projection gets a position added; token 0 is the
    mean of the grid. Text tokens are the last states with padding hidden inside the encoder and
    zero outside; the pooled text is the mean of the real ones.

    Args:
        image: "name" in timm; "weights", a local file or None for random ones; "levels", indices of
            feature maps to add; "last", whether the last map is there too (True); "grid", cells a
            side (7).
        text: "folder" with a transformers model and its tokenizer; or "config", values of its
            configuration with "model_type", for random weights, and "tokenizer", the text of a
            tokenizer.json. "max_length" (64) tokens, "pad_token" as the tokenizer calls it.
        dim: width of the shared space.
        position: "learned", or "sinusoidal" for fixed waves over rows and columns.
        projections: file with the tensors "image" (dim, width) and "text" (dim, width) from which
            the projections start; None starts them at random.
        preprocess: values of `Preprocess` put over those that timm names.
    """

    def __init__(
        self,
        image: Mapping[str, object],
        text: Mapping[str, object],
        dim: int = 256,
        position: str = "learned",
        projections: str | None = None,
        preprocess: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.image = _encoders.ImageEncoder.from_options(image)
        self.text = _encoders.TextEncoder.from_options(text)
        config, given = self.image.encoder.pretrained_cfg, dict(preprocess or {})
        size = int(cast("int", given.get("size", config["input_size"][-1])))
        own = {"interpolation": config["interpolation"]}
        self.preprocess = prepare(size, config["mean"], config["std"], {**own, **given})
        self.image_projection = nn.Linear(self.image.width(size), dim, bias=False)
        self.text_projection = nn.Linear(self.text.width, dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self._position = position
        self._add_position(position, self.image.grid, dim)
        if projections is not None:
            self._start(Path(projections))

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> TimmTextTowers:
        known = {"image", "text", "dim", "position", "projections", "preprocess"}
        given = take_options(options, known, "timm_text towers")
        if not {"image", "text"} <= given.keys():
            raise ConfigError("timm_text towers need the options image and text")
        return cls(**cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {
            "kind": "timm_text",
            "image": self.image.options(),
            "text": self.text.options(),
            "dim": self.dim,
            "position": self._position,
            "preprocess": asdict(self.preprocess),
        }

    @property
    @override
    def logit_scale(self) -> Tensor:
        return self.log_scale

    @override
    def tokenize(self, texts: Sequence[str]) -> Int[Tensor, "b l"]:
        return self.text.tokenize(texts).to(self.device)

    @override
    def padding(self, ids: Int[Tensor, "b l"]) -> Bool[Tensor, "b l"]:
        return ids == self.text.pad_id

    @override
    def token_spans(self, text: str) -> list[Span | None]:
        return self.text.spans(text)

    @override
    def image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        cells = self.image(pixel_values.to(self.log_scale.dtype))
        pooled = cells.mean(dim=1)
        return Features(torch.cat((pooled[:, None], cells), dim=1), pooled)

    @override
    def text_backbone(self, ids: Int[Tensor, "b l"]) -> Features:
        real = ~self.padding(ids)
        states = self.text(ids, real)
        pooled = states.sum(dim=1) / real.sum(dim=1, keepdim=True).clamp(min=1)
        return Features(states, pooled)

    @override
    def project_image(self, features: Features) -> Features:
        project = self.image_projection
        tokens = project(features.tokens)  # there may be none
        return Features(tokens + self.position[: tokens.shape[1]], project(features.pooled))

    @override
    def project_text(self, features: Features) -> Features:
        project = self.text_projection
        return Features(project(features.tokens), project(features.pooled))

    def _add_position(self, position: str, grid: int, dim: int) -> None:
        if position == "learned":
            self.position = nn.Parameter(0.02 * torch.randn(1 + grid * grid, dim))
        elif position == "sinusoidal":
            self.register_buffer("position", sinusoids(grid, dim), persistent=False)
        else:
            raise ConfigError(f"position is 'learned' or 'sinusoidal', got {position!r}")

    def _start(self, path: Path) -> None:
        start = read_state(path)
        layers = {"image": self.image_projection, "text": self.text_projection}
        shapes = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
        if {name: tuple(value.shape) for name, value in start.items()} != shapes:
            found = {name: tuple(value.shape) for name, value in start.items()}
            raise WeightsError(f"{path} holds {found}, the projections are {shapes}")
        with torch.no_grad():
            for name, layer in layers.items():
                layer.weight.copy_(start[name])


def sinusoids(grid: int, dim: int) -> Float[Tensor, "n d"]:
    """Fixed positions of token 0 (zeros) and the cells of a grid (Vaswani et al., 2017, 3.5).

    The first half of the dimensions tells the row, the second the column; a last odd one is 0.
    """
    quarter = dim // 4
    frequency = 10000 ** -(torch.arange(quarter) / max(quarter, 1))
    angles = torch.arange(grid)[:, None] * frequency
    waves = torch.cat((angles.sin(), angles.cos()), dim=1)
    rows = waves[:, None].expand(grid, grid, -1)
    columns = waves[None].expand(grid, grid, -1)
    cells = torch.cat((rows, columns), dim=2).flatten(0, 1)
    return functional.pad(cells, (0, dim - cells.shape[1], 1, 0))
