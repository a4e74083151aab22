"""Image and text towers of three libraries behind one interface: token states and pooled states."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from beholder.errors import ConfigError
from beholder.rewards._towers._base import Embeddings as Embeddings
from beholder.rewards._towers._base import Features as Features
from beholder.rewards._towers._base import Towers as Towers

_KINDS = {
    "clip": "ClipTowers",
    "open_clip": "OpenClipTowers",
    "siglip": "SiglipTowers",
    "timm_text": "TimmTextTowers",
}


def build_towers(options: Mapping[str, object]) -> Towers:
    """The towers that `options` describe; the key "kind" chooses the library.

    * `{"kind": "clip", "text": {…}, "vision": {…}, "projection_dim": n}`: transformers'
      `CLIPModel` with those configuration values, random weights.
    * `{"kind": "open_clip", "name": "ViT-B-32", "pretrained": tag or file or None}`: any open_clip
      name.
    * `{"kind": "siglip", "text": {…}, "vision": {…}}`: transformers' `SiglipModel`, likewise.
    * `{"kind": "timm_text", "image": {"name": …}, "text": {"folder": …}, "dim": n}`: a timm
      encoder beside a transformers text encoder.

    Raises ConfigError if an option is unknown, WeightsError if weights are missing or do not fit.
    """
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"towers are given as kind with its options, such as kind: open_clip, name: ViT-B-32; "
            f"got {options!r}"
        )
    rest = dict(options)
    kind = rest.pop("kind", None)
    if kind not in _KINDS:
        raise ConfigError(f"towers of kind {kind!r} are unknown; known: {', '.join(_KINDS)}")
    module = importlib.import_module(f"{__name__}.{kind}")
    towers: Towers = getattr(module, _KINDS[str(kind)]).from_options(rest)
    return towers


def refuse_beside_towers(reward: str, **others: object) -> None:
    """ConfigError if one of the `others` is given, since towers bring sizes and weights along."""
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise ConfigError(
            f"{reward} takes either towers or {' and '.join(given)}, not both; leave one out"
        )
