"""Numbers, texts and conditions in `eval._expression`, and where they must not meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from beholder.errors import ConfigError
from beholder.eval._filter.frame import Bools, Values, is_text


def sample(values: Values) -> Any:
    """One of the values, for a message."""
    if is_text(values):
        return values[0].as_py()
    array = np.asarray(values)
    return array.flat[0].item() if array.size else None


def truths(values: Values, count: int) -> Bools:
    """(count,) what a condition says; ConfigError if the values are no conditions."""
    if is_text(values) or np.asarray(values).dtype != np.bool_:
        raise ConfigError(f"`and`, `or` and `not` join comparisons, got {sample(values)!r}")
    return np.broadcast_to(np.asarray(values), count)


def numbers(values: Values) -> Any:
    """The values as float64; ConfigError if they are texts."""
    if _has_text(values):
        raise ConfigError(f"cannot compute with the text {sample(values)!r}")
    return np.asarray(values, np.float64)


def alike(left: Values, right: Values) -> tuple[Values, Values]:
    """Both sides of a comparison, a literal as the other side can hold it.

    ConfigError if one is text and the other a number.
    """
    if _has_text(left) != _has_text(right):
        raise ConfigError(
            f"cannot compare {sample(left)!r} with {sample(right)!r}: one is text, the other a "
            "number"
        )
    return _as_held(left, right), _as_held(right, left)


def is_member(values: Values, members: Sequence[Values], count: int) -> Bools:
    """(count,) whether each value equals one of the members; a text equals no number."""
    texts = [member for member in members if isinstance(member, str)]
    if is_text(values):
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        found = pc.is_in(values, value_set=pa.array(texts, pa.string()))
        there: Bools = found.to_numpy(zero_copy_only=False)
        return there
    alike_members = texts if isinstance(values, str) else [m for m in members if m not in texts]
    outcome = np.zeros(count, bool)
    for member in alike_members:
        outcome |= np.asarray(values == _as_held(member, values))
    return outcome


def _as_held(value: Values, beside: Values) -> Values:
    """A literal number as a column of float32 or of integers beside it holds it.

    The nearest float32, so that x == 0.3 finds a stored 0.3; and a whole number as an integer, of
    which float64 knows those up to 2^53 only. Anything else stays as it is.
    """
    kind = getattr(beside, "dtype", None)
    if type(value) not in (int, float) or kind is None:
        return value
    if kind == np.float32:
        with np.errstate(over="ignore"):
            return np.float32(value)
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole and np.issubdtype(kind, np.integer) else value


def _has_text(values: Values) -> bool:
    return isinstance(values, str) or is_text(values)
