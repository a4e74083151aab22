"""Sizes of transformers' models, checked by name and type before a model is made of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from beholder.errors import ConfigError
from beholder.rewards._base import take_options

_NO_TOKENS = {"bos_token_id": None, "eos_token_id": None}  # else a small vocabulary warns


def checked_names(kind: type[Any], values: Mapping[str, object], where: str) -> dict[str, object]:
    """`values` as a dict; ConfigError naming those that the configuration `kind` does not know."""
    return take_options(values, set(inspect.signature(kind).parameters), where)


def checked_config(kind: type[Any], values: Mapping[str, object], where: str) -> dict[str, object]:
    """`values` as a dict, if transformers' configuration class `kind` knows and takes them all.

    Raises ConfigError naming those that it does not know, or whose value it refuses.
    """
    from huggingface_hub.errors import StrictDataclassError  # noqa: PLC0415

    given = checked_names(kind, values, where)
    try:
        kind(**{**_NO_TOKENS, **given})
    except (StrictDataclassError, TypeError, ValueError, KeyError) as error:
        reason = next((line.strip() for line in reversed(str(error).splitlines()) if line), "")
        raise ConfigError(f"{where} cannot be {given}: {reason}") from error
    return given
