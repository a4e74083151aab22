"""T5 over picture tokens and prompt tokens together, and what it is built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.weights import check_finite
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._towers._encoders import TextEncoder


@dataclass(frozen=True, slots=True)
class TextStates:
    """Joint states of the prompts' tokens.

    Attributes:
        captions: the texts that were encoded.
        states: one a token, padding included.
        real: which tokens are no padding.
        mask: `real`, or None where padding takes part as published.
    """

    captions: Sequence[str]
    states: Float[Tensor, "b l d"]
    real: Bool[Tensor, "b l"]
    mask: Bool[Tensor, "b l"] | None

    def rows(self, rows: Sequence[int]) -> TextStates:
        """Those of some of the prompts."""
        chosen = list(rows)
        return TextStates(
            captions=[self.captions[row] for row in chosen],
            states=self.states[chosen],
            real=self.real[chosen],
            mask=None if self.mask is None else self.mask[chosen],
        )


class Joint(nn.Module):
    """Self-attention over picture tokens followed by prompt tokens (Liang et al., CVPR 2024).

    Args:
        t5: transformers' `T5ForConditionalGeneration`; its encoder is the joint one.
        text: an encoder whose token states stand in for T5's word embeddings; None for those.
    """

    def __init__(self, t5: nn.Module, text: TextEncoder | None = None) -> None:
        super().__init__()
        self.t5 = cast("Any", t5)
        self.text = text
        self.dim = int(self.t5.config.d_model)
        self.text_projection = None if text is None else nn.Linear(text.width, self.dim)

    def embed(self, ids: Int[Tensor, "b l"], real: Bool[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        """Embeddings of the prompt's tokens, before they meet the picture."""
        if self.text is None or self.text_projection is None:
            return cast("Tensor", self.t5.shared(ids))
        window = self.text.max_length  # longer prompts than the encoder has positions for
        parts = zip(ids.split(window, dim=1), real.split(window, dim=1), strict=True)
        states = [self.text(*part) for part in parts]
        return cast("Tensor", self.text_projection(torch.cat(states, dim=1)))

    @override
    def forward(
        self,
        picture: Float[Tensor, "b n d"],
        prompt: Float[Tensor, "b l d"],
        mask: Bool[Tensor, "b l"] | None,
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b l d"]]:
        """Joint states of picture and prompt; `mask` hides padding, None lets it take part."""
        both = torch.cat((picture, prompt.to(picture.dtype)), dim=1)
        seen = None
        if mask is not None:
            seen = torch.cat((mask.new_ones(picture.shape[:2]), mask), dim=1).long()
        states = self.t5.encoder(inputs_embeds=both, attention_mask=seen).last_hidden_state
        return states[:, : picture.shape[1]], states[:, picture.shape[1] :]


def build_t5(options: Mapping[str, object], special: Mapping[str, int]) -> nn.Module:
    """A T5 of those configuration values with random weights, or the one in a folder.

    Args:
        options: values of transformers' `T5Config`, or "folder": a local folder or a repository
            on the hub with pretrained weights.
        special: ids of the tokenizer: vocab_size, pad_token_id, eos_token_id and
            decoder_start_token_id.

    Raises:
        WeightsError: if the folder holds no T5.
        ConfigError: if a value is none of T5's.
    """
    from huggingface_hub.errors import StrictDataclassError  # noqa: PLC0415
    from transformers import T5Config, T5ForConditionalGeneration  # noqa: PLC0415

    if "folder" in options:
        return cast("nn.Module", pretrained(T5ForConditionalGeneration, str(options["folder"])))
    try:
        config = T5Config(**{**special, **options})
        return cast("nn.Module", T5ForConditionalGeneration(config))
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise ConfigError(f"transformers cannot build this T5: {error}") from error


def t5_options(t5: nn.Module) -> dict[str, object]:
    """JSON-ready options from which `build_t5` rebuilds the architecture."""
    return config_values(cast("Any", t5).config)


def config_values(config: Any) -> dict[str, object]:
    """The values of a transformers configuration that its defaults do not have, JSON-ready."""
    passing = {"transformers_version", "architectures", "dtype", "_name_or_path", "model_type"}
    return {key: value for key, value in config.to_diff_dict().items() if key not in passing}


def pretrained(kind: Any, folder: str, **options: object) -> Any:
    """A transformers model of that class from a local folder or the hub, in float32.

    Raises WeightsError if it is not there, or holds NaN.
    """
    try:
        model = kind.from_pretrained(folder, dtype=torch.float32, **options)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} holds no {kind.__name__} weights: {error}") from error
    check_finite(model.state_dict(), folder)
    return model
