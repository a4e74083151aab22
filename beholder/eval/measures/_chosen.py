"""A metric as it is asked for, with its settings checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pydantic

from beholder.errors import ConfigError
from beholder.eval.measures import find
from beholder.eval.measures._base import Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A metric as it was asked for.

    Attributes:
        metric: its own name, such as "fid".
        name: what a person calls it; its measurements are named after that.
        measure: what it is.
        options: its settings.
    """

    metric: str
    name: str
    measure: Measure
    options: Any


def choose(
    metric: str,
    settings: Mapping[str, object] | None = None,
    *,
    name: str = "",
    protocol: str | None = None,
) -> Chosen:
    """A metric with its settings checked.

    Args:
        metric: one of `beholder.eval.measures.names()`.
        settings: over its defaults.
        name: to call it by; None takes its own.
        protocol: the resize of metrics that let one choose, such as "clean"; others ignore it.

    Raises:
        ConfigError: if the metric, a setting or a value is unknown.
    """
    measure = find(metric)
    known = [f.name for f in fields(measure.options)]
    given = dict(settings or {})
    for key in given:
        if key not in known:
            raise ConfigError(f"{metric} has no setting {key!r}; it has {', '.join(known)}")
    if protocol is not None and "resize" in known:
        given.setdefault("resize", protocol)
    try:
        options = pydantic.TypeAdapter(measure.options).validate_python(given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise ConfigError(f"{metric}: {where}: {first['msg']}") from error
    return Chosen(metric=metric, name=name or metric, measure=measure, options=options)
