"""What decides features beside the weights: a network's settings, and the code that makes it."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

from torch import nn

_NO_MATTER = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}
"""Settings that tell where a network lay and what wrote it."""


def joint_id(weights: str, text: str) -> str:
    """16 hexadecimal digits that differ where the id of weights or a text of their network does."""
    return hashlib.sha256(f"{weights}\n{text}".encode()).hexdigest()[:16]


def settings_text(model: nn.Module) -> str:
    """A model of transformers' settings, defaults included, the same for every copy of a folder."""
    return json.dumps(_kept(cast("Any", model).config.to_dict()), sort_keys=True, default=str)


def source_text(make: Callable[[], object], where: str, network: nn.Module) -> str | None:
    """The source of the modules that make a network; None if one of them has none to read.

    They are the module `where`, that of the function `make`, and those of the classes of the
    network's parts except torch's own. What these import in turn is not in it.
    """
    names = {where, getattr(make, "__module__", None) or where}
    names |= {type(part).__module__ for part in network.modules()}
    own = sorted(name for name in names if name.partition(".")[0] != "torch")
    try:
        return "\n".join(inspect.getsource(sys.modules[name]) for name in own)
    except (OSError, TypeError, KeyError):  # no file, built in, and of no imported module
        return None


def _kept(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return {str(k): _kept(v) for k, v in value.items() if k not in _NO_MATTER}
