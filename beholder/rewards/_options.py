"""Options of rewards: what a `config.json` holds, and which names are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from beholder.errors import ConfigError, WeightsError


def read_options(text: str, where: Path) -> dict[str, object]:
    """The object in a `config.json`; raises WeightsError if it is not a reward's."""
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of many digits, lists in lists
        raise WeightsError(f"{where} is not JSON: {error}") from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("reward"), str):
        raise WeightsError(
            f"{where} does not name a reward; expected a folder written by save_pretrained"
        )
    return loaded


def take_options(given: Mapping[str, object], known: set[str], reward: str) -> dict[str, object]:
    """`given` as a dict; raises ConfigError naming every option that is not in `known`."""
    unknown = sorted(set(given) - known)
    if unknown:
        raise ConfigError(
            f"{reward} has no option {', '.join(map(repr, unknown))}; "
            f"it knows {', '.join(sorted(known))}"
        )
    return dict(given)
