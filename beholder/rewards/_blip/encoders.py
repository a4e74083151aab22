"""BLIP's two encoders, on transformers' modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from beholder.errors import ConfigError
from beholder.rewards._base import take_options
from beholder.rewards._preprocess import Fit, Preprocess

Sizes = dict[str, dict[str, int]]

LARGE: Sizes = {
    "vision": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 16,
    },
    "text": {
        "vocab_size": 30524,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 512,
    },
}
"""ViT-L/16 beside BERT-base, whose vocabulary has two entries more."""


class BlipEncoders(nn.Module):
    """A picture encoder, and a text encoder that may look at what it gives.

    No dropout and no stochastic depth: training sees what scoring sees.

    Args:
        sizes: of both, as `blip_sizes` gives them.
    """

    def __init__(self, sizes: Mapping[str, Mapping[str, int]]) -> None:
        import transformers as hf  # noqa: PLC0415

        super().__init__()
        vision, text = cast("Any", sizes["vision"]), cast("Any", sizes["text"])
        # transformers' defaults of both are not what BLIP was trained with
        eyes = hf.BlipVisionConfig(**vision, layer_norm_eps=1e-6, initializer_range=0.02)
        reader = hf.BlipTextConfig(
            **text,
            encoder_hidden_size=vision["hidden_size"],
            bos_token_id=None,  # of generation, and outside a smaller vocabulary
            sep_token_id=None,
        )
        try:
            self.vision: Any = hf.BlipVisionModel(eyes)
            self.text: Any = hf.BlipTextModel(reader, add_pooling_layer=False)
        except (ValueError, RuntimeError, ZeroDivisionError) as error:
            raise ConfigError(f"no BLIP has these sizes: {error}") from error

    def see(self, pixel_values: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b n v"]:
        """States of prepared pictures; the first is that of the whole picture."""
        states: Tensor = self.vision(pixel_values=pixel_values).last_hidden_state
        return states

    def read(
        self,
        ids: Int[Tensor, "b l"],
        real: Bool[Tensor, "b l"],
        seen: Float[Tensor, "b n v"] | None = None,
    ) -> Float[Tensor, "b w"]:
        """The state of each text's first token.

        Tokens look at those that are `real` and, in every layer, at the picture that was `seen`.
        """
        states: Tensor = self.text(
            input_ids=ids, attention_mask=real.long(), encoder_hidden_states=seen
        ).last_hidden_state
        return states[:, 0]


def blip_sizes(given: Mapping[str, object] | None, base: Sizes = LARGE) -> Sizes:
    """`base` with the sizes of `given`, which has "vision" and "text" or one of them, put over it.

    Raises ConfigError for a size that is unknown, or no whole number above 0.
    """
    parts = take_options(given or {}, set(base), "the sizes of BLIP")
    return {name: _put_over(base[name], parts.get(name, {}), name) for name in base}


def _put_over(base: Mapping[str, int], given: object, name: str) -> dict[str, int]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{name} of BLIP takes names and numbers, got {given!r}")
    sizes = {**base, **take_options(given, set(base), f"{name} of BLIP")}
    for key, value in sizes.items():
        if type(value) is not int or value < 1:
            raise ConfigError(f"{key} in {name} of BLIP is a whole number above 0, got {value!r}")
    return cast("dict[str, int]", sizes)


def blip_preprocess(sizes: Sizes, fit: str = "crop") -> Preprocess:
    """How pixels are prepared for a picture encoder of these sizes: bicubic, CLIP's mean and std.

    Raises ConfigError for an unknown fit.
    """
    return Preprocess(size=sizes["vision"]["image_size"], fit=cast("Fit", fit), crop_offset="round")


def run_head(head: nn.Module, states: Float[Tensor, "b w"]) -> Float[Tensor, "b k"]:
    """What a head gives of states, in the precision of the head."""
    found: Tensor = head(states.to(next(head.parameters()).dtype))
    return found
