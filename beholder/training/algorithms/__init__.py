"""Algorithms that tune a pipeline: one file each. The folder is the registry, as of rewards."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from typing import Any, TypeVar

from beholder.errors import ConfigError
from beholder.training.algorithms._base import Algorithm, TuneConfig

_Kind = TypeVar("_Kind")


def names() -> list[str]:
    """Names of the algorithms: the public modules of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def config_class(name: str) -> type[TuneConfig]:
    """The configuration of the algorithm called `name`; ConfigError if there is none."""
    return _own(name, TuneConfig)


def algorithm_class(name: str) -> type[Algorithm[Any]]:
    """The algorithm called `name`; ConfigError if there is none."""
    return _own(name, Algorithm)  # type: ignore[type-abstract]


def _own(name: str, kind: type[_Kind]) -> type[_Kind]:
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names())}"
        raise ConfigError(f"no algorithm named {name!r}; {hint}")
    module = importlib.import_module(f"{__name__}.{name}")
    (found,) = (
        k
        for k in vars(module).values()
        if inspect.isclass(k) and issubclass(k, kind) and k.__module__ == module.__name__
    )
    return found
