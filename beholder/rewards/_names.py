"""Names of published keys: what wraps them, and whose file they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from beholder._published.weights import OwnName


def unwrapped(key: str) -> str:
    """A key without the names of the modules that other packages put around a model."""
    return re.sub(r"^(?:(?:mps|module|model)\.)+", "", key)


def is_model(keys: Iterable[str], own_name: OwnName, parts: Collection[str]) -> bool:
    """Whether a file holds what is called `towers.model` here, `parts` included, and no more."""
    names = {own_name(key) for key in keys} - {None}
    ours = all(str(name).startswith("towers.model.") for name in names)
    return ours and {f"towers.model.{part}" for part in parts} <= names
