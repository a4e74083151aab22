"""The author's RAHF checkpoint (youweiliang/RichHF, 2025) under this package's names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from beholder.errors import WeightsError
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


def is_published(state: Mapping[str, Tensor]) -> bool:
    """Whether these are names of the author's checkpoint."""
    return any(name.removeprefix("module.").startswith(("vit.", "t5.")) for name in state)


def canonical_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published keys under this package's names; the pooler, which nothing reads, is dropped.

    Raises WeightsError if two keys become one.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        name = _renamed(key.removeprefix("module."))
        if name in renamed:
            raise WeightsError(f"two keys of the weights mean {name}; one of them is {key}")
        if not name.startswith(_UNREAD):
            renamed[name] = value
    return renamed


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
    return f"{output}.{names.get(module, module)}.{weight}"
