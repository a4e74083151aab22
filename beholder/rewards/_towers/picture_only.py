"""Picture encoders without the text encoders that they were trained with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.weights import load_exact, read_state
from beholder.errors import ConfigError
from beholder.rewards._preprocess import Preprocess
from beholder.rewards._towers._pooled import knows_image, open_clip_image
from beholder.rewards._towers.open_clip import OpenClipTowers


class ClipPictures(nn.Module):
    """The projected class token of an open_clip ViT; its text half goes again at once.

    Pixels are prepared as OpenAI's CLIP does, which rounds an odd margin half to even.

    Args:
        name: one of open_clip's model names.
        sizes: values put over its configuration.
        weights: one of open_clip's tags or a local file; None for random weights.
    """

    def __init__(
        self, name: str, sizes: Mapping[str, object], weights: str | Path | None = None
    ) -> None:
        super().__init__()
        self.sizes = dict(sizes)
        if weights is None:
            sizes = {**sizes, "text_cfg": {"layers": 1, "width": 64, "heads": 1}}
        tag = None if weights is None else str(weights)
        towers = OpenClipTowers(name, tag, sizes, {"crop_offset": "round"})
        self.dim, self.preprocess = towers.dim, towers.preprocess
        self.visual: Any = towers.model.visual
        if not knows_image(self.visual):
            raise ConfigError(f"the picture encoder so changed is no plain ViT: {self.sizes}")

    @override
    def forward(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b d"]:
        pooled = open_clip_image(self.visual, pixel_values.to(self.visual.conv1.weight.dtype))
        return pooled if self.visual.proj is None else pooled @ self.visual.proj


class SiglipPictures(nn.Module):
    """The pooled state of transformers' SigLIP.

    Args:
        sizes: values of `SiglipVisionConfig`.
        weights: a local file of the whole `SiglipModel`; None for random weights.
    """

    def __init__(self, sizes: Mapping[str, object], weights: str | Path | None = None) -> None:
        from transformers import SiglipVisionConfig, SiglipVisionModel  # noqa: PLC0415

        super().__init__()
        self.sizes = dict(sizes)
        given: Any = self.sizes
        config = SiglipVisionConfig(**given)
        model = SiglipVisionModel(config)
        self.model: Any = getattr(model, "vision_model", model)  # 5.0 has one level more
        self.dim = int(config.hidden_size)
        half = (0.5, 0.5, 0.5)
        self.preprocess = Preprocess(size=int(config.image_size), mean=half, std=half, fit="squash")
        if weights is not None:
            self._load(weights)

    @override
    def forward(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b d"]:
        dtype = next(self.model.parameters()).dtype
        pooled: Tensor = self.model(pixel_values=pixel_values.to(dtype)).pooler_output
        return pooled

    def _load(self, weights: str | Path) -> None:
        prefix = "vision_model."
        state = {
            key.removeprefix(prefix): value
            for key, value in read_state(weights).items()
            if key.startswith(prefix) and not key.endswith(".position_ids")
        }
        load_exact(self.model, state, where=str(weights))
