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
        ConfigError: if the metric, a setting or a value is unknown, or a value out of range.
    """
    measure = find(metric)
    known = [f.name for f in fields(measure.options)]
    given = dict(settings or {})
    for key in given:
        if key not in known:
            raise ConfigError(f"{metric} has no setting {key!r}; it has {', '.join(known)}")
    has_protocol = protocol is not None and "resize" in known
    if has_protocol and given.setdefault("resize", protocol) != protocol:
        raise ConfigError(
            f"{metric}: resize={given['resize']} and the protocol {protocol} contradict; "
            "give one of them"
        )
    try:
        options = pydantic.TypeAdapter(measure.options).validate_python(given)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{metric}: {_fault(error)}") from error
    return Chosen(metric=metric, name=name or metric, measure=measure, options=options)


def _fault(error: pydantic.ValidationError) -> str:
    """The first fault: that of a range as `Options` tells it, that of a type with its setting."""
    first = error.errors()[0]
    own = first.get("ctx", {}).get("error")
    if isinstance(own, ConfigError):
        return str(own)
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}, got {first['input']!r}"
