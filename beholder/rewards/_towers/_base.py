"""What image and text towers are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from beholder.rewards._precision import is_logit
from beholder.rewards._preprocess import Preprocess

Span = tuple[int, int]
"""Where a token comes from: `text[start:end]`."""


@dataclass(frozen=True)
class Features:
    """States of one tower for `b` pictures or texts.

    Before projection the two widths may differ; after it both are the towers' `dim`.

    Attributes:
        tokens: one state a token; token 0 of a picture stands for the whole picture. A row of
            zeros is padding that nothing may look at.
        pooled: one state for all of it.
    """

    tokens: Float[Tensor, "b n d"]
    pooled: Float[Tensor, "b p"]

    def __len__(self) -> int:
        return len(self.pooled)

    def rows(self, index: Int[Tensor, " r"]) -> Features:
        """The features of some rows, in the order of `index`; a row may be asked for twice."""
        index = index.to(self.pooled.device)
        return Features(self.tokens[index], self.pooled[index])

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Features:
        """The same features on another device, or in another precision."""
        return Features(self.tokens.to(device, dtype), self.pooled.to(device, dtype))

    def bare(self) -> Features:
        """The same features without their token states: `tokens` are (b, 0, d)."""
        return Features(self.tokens[:, :0], self.pooled)

    def without(self, padding: Bool[Tensor, "b n"]) -> Features:
        """The same features with the token states of `padding` set to zero."""
        return Features(self.tokens.masked_fill(padding[..., None], 0), self.pooled)


@dataclass(frozen=True)
class Embeddings:
    """Pictures and texts in the space in which a reward compares them, of length 1, row by row.

    Attributes:
        images, texts: of each row.
        logit_scale: natural logarithm of the factor that turns a cosine into a logit.
    """

    images: Float[Tensor, "b d"]
    texts: Float[Tensor, "b d"]
    logit_scale: Float[Tensor, ""]


class Towers(nn.Module, ABC):
    """A picture encoder and a text encoder that share a space of `dim` dimensions.

    `image_backbone` and `text_backbone` give what stays the same while the towers are frozen, so a
    trainer may cache it; `project_image` and `project_text` carry it into the shared space.

    Attributes:
        dim: width of the shared space.
        preprocess: how pixels are prepared for the picture encoder.
        prefix_tokens: tokens before the grid of picture tokens; the first one is the whole picture.
    """

    dim: int
    preprocess: Preprocess
    prefix_tokens: int = 1

    @property
    @abstractmethod
    def logit_scale(self) -> Tensor:
        """Natural logarithm of the factor that turns a cosine into a logit; one number."""

    @classmethod
    @abstractmethod
    def from_options(cls, options: Mapping[str, object]) -> Towers:
        """The towers that the options describe, without the key "kind"."""

    @abstractmethod
    def options(self) -> dict[str, object]:
        """JSON-ready options, with "kind", from which `build_towers` rebuilds this architecture."""

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> Int[Tensor, "b l"]:
        """Token ids, cut or padded to one length; typed special tokens are plain text."""

    @abstractmethod
    def padding(self, ids: Int[Tensor, "b l"]) -> Bool[Tensor, "b l"]:
        """True where a token only fills the row."""

    @abstractmethod
    def token_spans(self, text: str) -> list[Span | None]:
        """Where each token of `tokenize([text])` comes from; None for specials and padding."""

    @abstractmethod
    def image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        """States of prepared pictures before projection."""

    @abstractmethod
    def text_backbone(self, ids: Int[Tensor, "b l"]) -> Features:
        """States of texts before projection."""

    @abstractmethod
    def project_image(self, features: Features) -> Features:
        """Picture states in the shared space."""

    @abstractmethod
    def project_text(self, features: Features) -> Features:
        """Text states in the shared space."""

    @final
    def encode_image(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        """States of prepared pictures in the shared space."""
        return self.project_image(self.image_backbone(pixel_values))

    @final
    def encode_text(self, ids: Int[Tensor, "b l"]) -> Features:
        """States of texts in the shared space."""
        return self.project_text(self.text_backbone(ids))

    def pooled_image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        """`image_backbone(…).bare()`, without computing token states that nothing asks for."""
        return self.image_backbone(pixel_values).bare()

    def pooled_text_backbone(self, texts: Sequence[str]) -> Features:
        """`text_backbone(tokenize(texts)).bare()`, without computing padding if that is exact."""
        return self.text_backbone(self.tokenize(texts)).bare()

    def pooled_image(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b d"]:
        """`encode_image(…).pooled`, computed as `pooled_image_backbone` does."""
        return self.project_image(self.pooled_image_backbone(pixel_values)).pooled

    def pooled_text(self, texts: Sequence[str]) -> Float[Tensor, "b d"]:
        """`encode_text(tokenize(texts)).pooled`, computed as `pooled_text_backbone` does."""
        return self.project_text(self.pooled_text_backbone(texts)).pooled

    @final
    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.logit_scale.device

    @final
    @property
    def dtype(self) -> torch.dtype:
        """Type of the encoders' weights; `logit_scale` may stay in float32 beside them."""
        return next(p.dtype for name, p in self.named_parameters() if not is_logit(name))

    @override
    def train(self, mode: bool = True) -> Towers:
        """Train mode, but batch norms keep their statistics: no score depends on neighbours."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self
