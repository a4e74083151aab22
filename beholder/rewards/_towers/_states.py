"""Token and pooled states of open_clip models, from hooks on their public parts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from beholder.rewards._towers._base import Features

Project = Callable[[Tensor], Tensor]


def prefix_tokens(visual: Any) -> int:
    """Tokens before the grid in what `image_states` gives."""
    trunk = getattr(visual, "trunk", None)
    return max(1, getattr(trunk, "num_prefix_tokens", 1))


def image_states(visual: Any, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
    """States of an open_clip vision tower before its projection."""
    if hasattr(visual, "trunk"):
        return _timm_states(visual, pixel_values)
    if hasattr(visual, "attnpool"):
        pooled, maps = _watch(visual, pixel_values, visual.layer4)
        return _led(_rows(maps, channels_last=False), pooled)
    source = visual.transformer if visual.attn_pool is None else visual.ln_post
    pooled, tokens = _watch(_lacking(visual, "proj", None), pixel_values, source)
    return Features(tokens, pooled)


def project_image(visual: Any, features: Features) -> Features:
    """What `image_states` gave, in the shared space.

    The attention pool of a ResNet projects its own pooled state; its value path projects tokens.
    """
    tokens, pooled = features.tokens, features.pooled
    if hasattr(visual, "trunk"):
        classify = visual.trunk.get_classifier()
        return Features(visual.head(classify(tokens)), visual.head(classify(pooled)))
    if hasattr(visual, "attnpool"):
        pool = visual.attnpool
        return Features(pool.c_proj(pool.v_proj(tokens)), pooled)
    if visual.proj is None:
        return features
    return Features(tokens @ visual.proj, pooled @ visual.proj)


def text_states(model: Any, ids: Int[Tensor, "b l"]) -> Features:
    """States of an open_clip text tower before its projection."""
    text = getattr(model, "text", None)
    if text is None:
        pooled, tokens = _watch(_TextOf(model), ids, model.ln_final)
    elif hasattr(text, "pooler"):
        bare = _lacking(text, "proj", nn.Identity())
        pooled, states = _watch(bare, ids, text.transformer)
        tokens = states.last_hidden_state
    elif text.cls_emb is not None:
        bare = _lacking(text, "text_projection", None)
        pooled, tokens = _watch(bare, ids, text.transformer)
        tokens = text.ln_final(tokens[:, :-1])
    else:
        pooled, tokens = _watch(_lacking(text, "text_projection", None), ids, text.ln_final)
    return Features(tokens, pooled)


def text_projection(model: Any) -> Project:
    """What carries text states into the shared space."""
    text = getattr(model, "text", model)
    if hasattr(text, "pooler"):
        return cast("Project", text.proj)
    projection = text.text_projection
    if projection is None:
        return nn.Identity()
    if isinstance(projection, nn.Linear):
        return projection
    return lambda states: states @ projection


def masked_padding(model: Any, ids: Int[Tensor, "b l"]) -> Bool[Tensor, "b l"] | None:
    """Padding that a text tower hides from itself, so its states mean nothing; None if none."""
    text: Any = getattr(model, "text", None)
    if hasattr(text, "pooler"):
        return ids.eq(text.config.pad_token_id)
    return ids.eq(text.pad_id) if getattr(text, "use_pad_mask", False) else None


def context_length(model: Any) -> int:
    """Tokens of a text; 77 where a transformers text encoder would take any number."""
    text = getattr(model, "text", model)
    return 77 if hasattr(text, "pooler") else int(text.context_length)


def _timm_states(visual: Any, pixel_values: Tensor) -> Features:
    trunk = visual.trunk
    states = trunk.forward_features(pixel_values)
    pooled = trunk.forward_head(states, pre_logits=True)
    if states.ndim == 4:
        states = _rows(states, channels_last=getattr(trunk, "output_fmt", "NCHW") == "NHWC")
    if getattr(trunk, "num_prefix_tokens", 0):
        return Features(states, pooled)
    return _led(states, pooled)


def _rows(maps: Tensor, *, channels_last: bool) -> Tensor:
    return maps.flatten(1, 2) if channels_last else maps.flatten(2).mT


def _led(tokens: Tensor, pooled: Tensor) -> Features:
    same = pooled.shape[-1] == tokens.shape[-1]
    first = pooled if same else tokens.mean(dim=1)
    return Features(torch.cat((first[:, None], tokens), dim=1), pooled)


def _watch(run: Any, given: Tensor, part: nn.Module) -> tuple[Tensor, Any]:
    """What `run` gives, the first of a tuple, and what its part gave meanwhile."""
    seen: list[Any] = []
    handle = part.register_forward_hook(lambda _module, _given, output: seen.append(output))
    try:
        result = run(given)
    finally:
        handle.remove()
    return (result[0] if isinstance(result, tuple) else result), seen[0]


def _lacking(module: nn.Module, name: str, stand_in: nn.Module | None) -> nn.Module:
    """A view of the module that shares all its parts but the one of that name."""
    view = copy.copy(module)
    view._parameters = {k: v for k, v in module._parameters.items() if k != name}
    view._modules = {k: v for k, v in module._modules.items() if k != name}
    view._modules[name] = stand_in
    return view


class _TextOf:
    """The text tower of a model that keeps it spread over itself, without its projection."""

    def __init__(self, model: nn.Module) -> None:
        self._view: Any = _lacking(model, "text_projection", None)

    def __call__(self, ids: Tensor) -> Tensor:
        return cast("Tensor", self._view.encode_text(ids))
