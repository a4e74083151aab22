"""CLIP's picture encoder (Radford et al., 2021), the network of CMMD (Jayasumana et al., 2024)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from beholder._published.downloads import download
from beholder._published.weights import read_state, renamed
from beholder.errors import ConfigError, WeightsError
from beholder.eval.extractors._base import weights_id
from beholder.eval.extractors._resize import check_protocol
from beholder.eval.extractors._torchscript import is_torchscript, script_state
from beholder.eval.extractors._vit import (
    Kind,
    Rules,
    Vit,
    VitExtractor,
    joined,
    load_vit,
    own_name,
    quick_gelu,
)

_OPENAI = "https://openaipublic.azureedge.net/clip/models"
SHA256 = {
    "ViT-L/14@336px": "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    "ViT-L/14": "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    "ViT-B/16": "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    "ViT-B/32": "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
}
"""OpenAI's files (MIT), by the name of the model."""

RESIZES = ("cmmd", "clip", "tf1")
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
_KIND = Kind(epsilon=1e-5, activation=quick_gelu)
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "quick-gelu": quick_gelu,
    "gelu": functional.gelu,
}
_HEADS = {768: 12, 1024: 16}
"""Of OpenAI's networks, by width."""
_PICTURES = ("visual.", "vision_model.", "visual_projection.")

_RULES: Rules = (
    (r"^vision_model\.embeddings\.class_embedding", "cls_token"),
    (r"^vision_model\.embeddings\.position_embedding\.weight", "pos_embed"),
    (r"^vision_model\.embeddings\.patch_embedding", "patch_embed.proj"),
    (r"^vision_model\.pre_layrnorm", "norm_pre"),
    (r"^vision_model\.post_layernorm", "norm"),
    (r"^vision_model\.encoder\.layers\.", "blocks."),
    (r"^visual_projection\.", "head."),
    (r"\.self_attn\.([qkv])_proj", r".attn.\1"),
    (r"\.self_attn\.out_proj", ".attn.proj"),
    (r"\.layer_norm([12])", r".norm\1"),
    (r"^visual\.class_embedding", "cls_token"),
    (r"^visual\.positional_embedding", "pos_embed"),
    (r"^visual\.conv1", "patch_embed.proj"),
    (r"^visual\.ln_pre", "norm_pre"),
    (r"^visual\.ln_post", "norm"),
    (r"^visual\.transformer\.resblocks\.", "blocks."),
    (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.attn\.out_proj", ".attn.proj"),
    (r"\.ln_([12])", r".norm\1"),
    (r"\.mlp\.c_fc", ".mlp.fc1"),
    (r"\.mlp\.c_proj", ".mlp.fc2"),
)
"""Keys of transformers, then of OpenAI and open_clip."""


class ClipExtractor(VitExtractor):
    """Pictures in the space that they share with texts.

    The layer "embeds" is the projected class token as it comes, not brought to length 1: CMMD and
    cosines do that themselves. `identity` names what is `unlike` OpenAI's networks: the number of
    heads, the activation.
    """

    def __init__(self, network: Vit, resize: str, weights: str, unlike: str = "") -> None:
        side = network.grid * network.patch
        super().__init__(network, "embeds", side, resize, (MEAN, STD), weights)
        self.identity = f"clip-{self.size}@{side}px{unlike}"


def build(
    weights: str | Path | None = None,
    model: str = "ViT-L/14@336px",
    resize: str = "cmmd",
    heads: int | None = None,
    activation: str = "quick-gelu",
) -> ClipExtractor:
    """The extractor, of the size that its weights have.

    Args:
        weights: a local file of OpenAI's own weights or fine-tuned ones: OpenAI's TorchScript, or
            weights in OpenAI's, open_clip's or transformers' layout. Texts' weights may be in it.
        model: which of OpenAI's files is fetched if there is no local one: a key of `SHA256`.
        resize: "cmmd", "clip" or "tf1"; to the side that the network was trained at.
        heads: of the attention, which the weights do not say; None is that of OpenAI's network of
            this width.
        activation: "quick-gelu", OpenAI's, or "gelu", that of most networks of open_clip's own
            training. The weights do not say it either.

    Raises:
        ConfigError: if `model`, `resize` or `activation` is unknown, or `heads` does not divide
            the width.
        WeightsError: if the file cannot be had or does not fit, or OpenAI published no network of
            its width and `heads` is not given.
    """
    check_protocol(resize, RESIZES)
    if activation not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise ConfigError(f"activation must be one of {known}; got {activation!r}")
    path = _published(model) if weights is None else Path(weights)
    given = script_state(path) if is_torchscript(path) else read_state(path)
    state = _own_state(given)
    kind = replace(_KIND, heads=_heads(state, heads, path), activation=_ACTIVATIONS[activation])
    network = load_vit(state, kind, str(path))
    unlike = "" if kind.heads == _HEADS.get(network.width) else f", {kind.heads} heads"
    unlike += "" if activation == "quick-gelu" else f", {activation}"
    return ClipExtractor(network, resize, weights_id(network.state_dict()), unlike)


def _heads(state: Mapping[str, Tensor], heads: int | None, path: Path) -> int | None:
    if "cls_token" not in state:
        return heads  # no transformer, as the loader will say
    width = state["cls_token"].shape[-1]
    if heads is not None:
        if heads < 1 or width % heads:
            raise ConfigError(f"heads must divide the width {width}, got {heads}")
        return heads
    if width not in _HEADS:
        raise WeightsError(
            f"{path} holds a CLIP of width {width}, but OpenAI's weights only, of width "
            f"{' or '.join(map(str, _HEADS))}, say their heads and activation by their width: give "
            "heads=NUMBER and activation=quick-gelu or gelu"
        )
    return _HEADS[width]


def _published(model: str) -> Path:
    if model not in SHA256:
        raise ConfigError(f"unknown CLIP model {model!r}; known are {', '.join(SHA256)}")
    name = model.replace("/", "-").replace("@", "-")
    return download(f"{_OPENAI}/{SHA256[model]}/{name}.pt", SHA256[model])


def _own_state(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    pictures = {
        k: v
        for k, v in given.items()
        if k.startswith(_PICTURES) and not k.endswith(".position_ids")
    }
    projection = pictures.pop("visual.proj", None)
    state = renamed(pictures, partial(own_name, rules=_RULES))
    if projection is not None:  # OpenAI multiplies from the right
        state["head.weight"] = projection.mT
    for name in {"cls_token", "pos_embed"} & state.keys():
        state[name] = state[name].reshape(1, -1, state[name].shape[-1])
    return joined(state, ("attn.q", "attn.k", "attn.v"), "attn.qkv")
