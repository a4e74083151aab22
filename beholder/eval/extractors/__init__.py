"""Networks whose features the classical metrics compare: one file each, found by its name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING

from beholder.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from beholder.eval.extractors._base import Extractor


def names() -> list[str]:
    """The extractors that `load` knows, by the files of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def load(name: str, weights: str | Path | None = None, **options: object) -> Extractor:
    """An extractor in eval mode, frozen, on the CPU.

    Args:
        name: one of `names()`.
        weights: a local file in a public layout; None fetches the published one.
        options: such as resize="clean"; each extractor's `build` lists its own.

    Raises:
        ConfigError: if the name or an option is unknown.
        WeightsError: if the weights cannot be had or do not fit.
    """
    if name not in names():
        raise ConfigError(f"unknown extractor {name!r}; known are {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    known = [option for option in inspect.signature(module.build).parameters if option != "weights"]
    if unknown := sorted(options.keys() - set(known)):
        raise ConfigError(
            f"extractor {name!r} has no option {', '.join(unknown)}; it has {', '.join(known)}"
        )
    extractor: Extractor = module.build(weights=weights, **options)
    return extractor.eval().requires_grad_(requires_grad=False)
