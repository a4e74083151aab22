"""The author's RAHF checkpoint (youweiliang/RichHF, 2025) under this package's names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from beholder.rewards._richhf.heads import STAGES

_CONVOLUTIONS = 6
_TOWERS = (
    (r"^vit\.encoder\.layer\.", "vit.layers."),  # transformers 5 renamed the layers of its ViT
    (r"\.attention\.attention\.(query|key|value)\.", r".attention.\1_proj."),
    (r"\.attention\.(q|k|v)\w+_proj\.", r".attention.\1_proj."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"^(vit\.layers\.\d+)\.intermediate\.dense\.", r"\1.mlp.fc1."),
    (r"^(vit\.layers\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"^vit\.", "vision.vit."),
    (r"^t5\.", "joint.t5."),
)
_HEATMAP = {
    "conv_layers.0": "entrance.0.convolution",
    "conv_layers.2": "entrance.0.norm",
    "conv_layers.3": "entrance.1.convolution",
    "conv_layers.5": "entrance.1.norm",
    "last_conv1": "last",
    "last_conv2": "out",
    **{
        theirs.format(k): f"doublings.{k}.{ours}"
        for k in range(STAGES)
        for theirs, ours in (
            ("deconv_layers.{}.0", "transposed"),
            ("deconv_layers.{}.1", "norm"),
            ("conv_layers2.{}.0", "inner.convolution"),
            ("conv_layers2.{}.1", "inner.norm"),
            ("conv_layers2.{}.3", "convolution"),
            ("conv_layers2.{}.4", "residual_norm"),
        )
    },
}
_SCORE = {
    **{f"conv_layers.{3 * k}": f"convolutions.{k}.convolution" for k in range(_CONVOLUTIONS)},
    **{f"conv_layers.{3 * k + 1}": f"convolutions.{k}.norm" for k in range(_CONVOLUTIONS)},
    "linear_layers.0": "first",
    "linear_layers.2": "second",
    "linear_layers.4": "out",
}
_HEADS = {"heatmap_predictor": _HEATMAP, "score_predictor": _SCORE}
_UNREAD = ("vision.vit.pooler.",)


def own_name(key: str) -> str | None:
    """This package's name of a key of the author's; None for the pooler, which nothing reads.

    A name of this package stays as it is.
    """
    name = _renamed(key.removeprefix("module."))
    return None if name.startswith(_UNREAD) else name


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is the author's checkpoint."""
    names = {key.removeprefix("module.").partition(".")[0] for key in shapes}
    return {"vit", "t5", "visual_token_projection"} <= names


def _renamed(key: str) -> str:
    head, _, rest = key.partition(".")
    if head in _HEADS:
        return f"{head}.{_inside(rest, _HEADS[head])}"
    for pattern, replacement in _TOWERS:
        key = re.sub(pattern, replacement, key)
    return key


def _inside(rest: str, names: Mapping[str, str]) -> str:
    """A head's key behind the name of its output, which only the multi-head variant has."""
    module, _, weight = rest.rpartition(".")
    if module in names:
        return f"{names[module]}.{weight}"
    output, _, module = module.partition(".")
    if not module:
        return rest
    return f"{output}.{names.get(module, module)}.{weight}"
