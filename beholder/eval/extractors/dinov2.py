"""DINOv2 (Oquab et al., 2023), the network of FD-DINOv2 (Stein et al., NeurIPS 2023).

The published figures come from torch.hub's code, which asks for 0.1 cells more a side when it
interpolates positions from 37 x 37 cells to 16 x 16. transformers does not, and its features of
the same weights are 5e-4 away. Here the offset is always in, whatever layout the file has.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch.nn import functional

from beholder._published.downloads import download
from beholder._published.weights import read_state, renamed
from beholder.errors import ConfigError
from beholder.eval.extractors._base import weights_id
from beholder.eval.extractors._resize import check_protocol
from beholder.eval.extractors._vit import Kind, Rules, Vit, VitExtractor, joined, load_vit, own_name

WEIGHTS = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth"
"""ViT-L/14 (Apache-2.0); its authors published no checksum, so that nothing is checked."""

RESIZES = ("dgm-uint8", "edm2", "tf1")
SIDE = 224
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_KIND = Kind(epsilon=1e-6, activation=functional.gelu, offset=0.1)

_TRANSFORMERS: Rules = (
    (r"^dinov2\.", ""),
    (r"^embeddings\.(cls_token|mask_token)", r"\1"),
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.attention\.(query|key|value)", r".attn.\1"),
    (r"\.attention\.output\.dense", ".attn.proj"),
    (r"\.attention\.o_proj", ".attn.proj"),
    (r"\.attention\.q_proj", ".attn.query"),
    (r"\.attention\.k_proj", ".attn.key"),
    (r"\.attention\.v_proj", ".attn.value"),
    (r"\.layer_scale([12])\.lambda1", r".ls\1.gamma"),
    (r"\.mlp\.weights_in", ".mlp.w12"),
    (r"\.mlp\.(weights_out|down_proj)", ".mlp.w3"),
    (r"^layernorm\.", "norm."),
)
"""Keys of transformers, of files and of the models of version 5."""


class DinoV2Extractor(VitExtractor):
    """Class tokens of DINOv2 behind the last norm: layer "cls", as wide as the network."""

    def __init__(self, network: Vit, resize: str, side: int, weights: str) -> None:
        super().__init__(network, "cls", side, resize, (MEAN, STD), weights)
        self.identity = f"dinov2-{self.size}"
        self.resize = resize if side == SIDE else f"{resize} to {side}"


def build(
    weights: str | Path | None = None, resize: str = "dgm-uint8", side: int = SIDE
) -> DinoV2Extractor:
    """The extractor, of the size that its weights have; None fetches ViT-L/14.

    Args:
        weights: a local file of torch.hub's or of transformers' layout.
        resize: "dgm-uint8" as FD-DINOv2 was published, "edm2" as EDM2, "tf1" as torch-fidelity.
        side: of the square picture that the network sees, a multiple of its patch.

    Raises:
        ConfigError: if `resize` is another, or `side` no multiple of the patch.
        WeightsError: if the file cannot be had or does not fit.
    """
    check_protocol(resize, RESIZES)
    path = download(WEIGHTS, None) if weights is None else Path(weights)
    state = renamed(read_state(path), partial(own_name, rules=_TRANSFORMERS))
    state.pop("mask_token", None)
    state = joined(state, ("attn.query", "attn.key", "attn.value"), "attn.qkv")
    state = joined(state, ("mlp.gate_proj", "mlp.up_proj"), "mlp.w12")
    network = load_vit(state, _KIND, str(path))
    if side < 1 or side % network.patch:
        raise ConfigError(f"side must be a multiple of the patch, {network.patch}; got {side}")
    return DinoV2Extractor(network, resize, side, weights_id(network.state_dict()))
