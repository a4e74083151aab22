"""Published weights of Qwen2-VL: their names, their shards, and a model to put them into."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor

from beholder._published.weights import Published, fetch, load_exact, read_state
from beholder.errors import WeightsError
from beholder.rewards._base import Reward
from beholder.rewards._vlm.sizes import EMBEDDINGS

_R = TypeVar("_R", bound=Reward)
_EXTRA = "_extra_state"


def backbone_name(key: str) -> str | None:
    """The name in a reward with a part `vlm` of a published key; None if it is not Qwen2-VL's.

    Files of transformers 4 call the parts `visual` and `model`, those of transformers 5
    `model.visual` and `model.language_model`.
    """
    if found := re.fullmatch(r"(?:model\.)?visual\.(.+)", key):
        return f"vlm.model.visual.{found[1]}"
    text = r"(?:model\.)?(?:language_model\.)?((?:layers|embed_tokens|norm)\..+)"
    if found := re.fullmatch(text, key):
        return f"vlm.model.language_model.{found[1]}"
    return None


def has_backbone(names: Iterable[str | None]) -> bool:
    """Whether this package's names are those of a whole Qwen2-VL.

    The picture encoders of later families have no `fc1`.
    """
    return {
        "vlm.model.visual.blocks.0.mlp.fc1.weight",
        "vlm.model.visual.merger.ln_q.weight",
        "vlm.model.language_model.layers.0.self_attn.q_proj.bias",
        "vlm.model.language_model.norm.weight",
    } <= set(names)


def fetch_shards(index: Published) -> list[Path]:
    """Where all shards that a published `*.index.json` names lie, downloaded if they were not.

    Raises WeightsError if one cannot be had or the index is not one.
    """
    names = _shard_names(fetch(index))
    return [fetch(Published(index.repo, name, index.revision)) for name in names]


def read_shards(paths: Path | str | list[Path]) -> dict[str, Tensor]:
    """Weights by name in one file, in several, or in those beside a local `*.index.json`.

    Raises WeightsError as `read_state`, and if the index is not one.
    """
    if isinstance(paths, list):
        return {name: value for path in paths for name, value in read_state(path).items()}
    path = Path(paths)
    if path.name.endswith(".index.json"):
        return read_shards([path.with_name(name) for name in _shard_names(path)])
    return read_state(path)


def read_tokenizer(path: str | Path | None, published: Published) -> str:
    """The text of a tokenizer.json: a local one, or the published one.

    Raises WeightsError if it cannot be had.
    """
    found = fetch(published, "tokenizer") if path is None else Path(path)
    try:
        return found.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"cannot read the tokenizer {found}: {error}") from error


def unfilled(make: Callable[[], _R], state: Mapping[str, Tensor]) -> _R:
    """What `make` builds, its weights of the type that a state has, and not set to anything.

    Random numbers for billions of weights would be drawn in vain.
    """
    dtype = state[EMBEDDINGS].dtype if EMBEDDINGS in state else torch.float32
    with torch.device("meta"):
        reward = make()
    return cast("_R", reward.cast(dtype).to_empty(device="cpu"))


def fill(reward: Reward, state: Mapping[str, Tensor], where: str) -> None:
    """Put renamed weights into a reward; its tokenizer stays its own.

    Raises WeightsError if they do not fit.
    """
    kept = {k: v for k, v in reward.state_dict().items() if k.endswith(_EXTRA)}
    load_exact(reward, {**kept, **state}, where=where)


def _shard_names(index: Path) -> list[str]:
    try:
        files = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        names = sorted(set(files))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} is not an index of weights: {error!r}") from error
    if bad := [name for name in names if Path(name).name != name]:
        raise WeightsError(f"{index} names {bad[0]!r}, which does not lie beside it")
    return names
