"""The classical metrics of pictures and videos: one file each, found by its name.

Each file has a `MEASURE`; what it computes lies in `beholder.eval`, in functions of features.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from beholder.errors import ConfigError

if TYPE_CHECKING:
    from beholder.eval.measures._base import Measure


def names() -> list[str]:
    """The metrics that `find` knows, by the files of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def find(name: str) -> Measure:
    """The metric of a name, such as "fid".

    Raises ConfigError, naming those there are, if there is none.
    """
    if name not in names():
        raise ConfigError(f"unknown metric {name!r}; known are {', '.join(names())}")
    measure: Measure = importlib.import_module(f"{__name__}.{name}").MEASURE
    return measure
