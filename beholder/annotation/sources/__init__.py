"""Public preference data sets: one file each. The folder is the registry, as in `rewards`.

`load("hpdv2").records(folder, "test")` streams a published split as records: with the published
tie rule, from a local folder or the hub. `convert` writes it as the data sets that training reads.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Mapping
from typing import Any

from beholder.annotation.sources._convert import SourceReport as SourceReport
from beholder.annotation.sources._convert import convert as convert
from beholder.annotation.sources._source import Check as Check
from beholder.annotation.sources._source import Published as Published
from beholder.annotation.sources._source import Record as Record
from beholder.annotation.sources._source import Source as Source
from beholder.annotation.sources._source import SourceCard as SourceCard
from beholder.annotation.sources._source import Tally as Tally
from beholder.annotation.sources._source import check_counts as check_counts
from beholder.errors import ConfigError


def names() -> list[str]:
    """Names that `load` accepts: the public modules of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def load(name: str, **options: object) -> Source:
    """The reader of the data set called `name`; nothing is read yet.

    Raises ConfigError if there is no such data set, or an option is unknown or of another type.
    """
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names())}"
        raise ConfigError(f"no public data set named {name!r}; {hint}")
    module = importlib.import_module(f"{__name__}.{name}")
    kinds = [k for k in vars(module).values() if inspect.isclass(k) and issubclass(k, Source)]
    (kind,) = (k for k in kinds if k.__module__ == module.__name__)
    _check_options(name, typing.get_type_hints(kind), options)
    return kind(**options)


def _check_options(name: str, known: Mapping[str, Any], options: Mapping[str, object]) -> None:
    for option, value in options.items():
        if option not in known:
            hint = f"known: {', '.join(known)}" if known else "it has none"
            raise ConfigError(f"data set {name!r} has no option {option!r}; {hint}")
        if not _fits(value, known[option]):
            kind = getattr(known[option], "__name__", known[option])
            raise ConfigError(f"option {option!r} of {name!r} is {value!r}, expected {kind}")


def _fits(value: object, kind: Any) -> bool:
    """Whether an option takes the value: 1 is a float too, but True is no number."""
    if isinstance(value, bool):
        return isinstance(value, kind) and not isinstance(0, kind)
    return isinstance(value, kind) or (isinstance(value, int) and isinstance(0.0, kind))
