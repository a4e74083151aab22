"""What a server says of how its reward shrinks pictures, so that a client can do it ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, final

from jaxtyping import Float, Shaped
from torch import Tensor

from beholder.errors import ConfigError
from beholder.rewards._preprocess import Fitting, Preprocess
from beholder.rewards._vlm.pictures import PixelBudget

_KINDS: dict[str, type[Preprocess] | type[PixelBudget]] = {
    "preprocess": Preprocess,
    "pixel-budget": PixelBudget,
}
_MOST = {"size": 4096, "max_pixels": 4096**2, "factor": 4096}
"""Larger ones are no model's: a server does not choose how much memory its client takes."""


def described(fitting: Fitting | None) -> dict[str, object] | None:
    """A fitting as JSON-ready values, from which `fitting_of` makes an equal one.

    None if there is none or it is of a class of one's own, of which a client has no code.
    """
    if type(fitting) is Smaller:
        return described(fitting.inner)
    for kind, known in _KINDS.items():
        if type(fitting) is known:
            values = {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(fitting).items()
            }
            return {"kind": kind, **values}
    return None


def fitting_of(said: object) -> Fitting | None:
    """The fitting that `described` told of.

    None, with which pictures travel whole, for whatever is not exactly that: a kind that only a
    newer server knows, a missing, unknown, misshapen or very large value.
    """
    if not isinstance(said, Mapping):
        return None
    values = dict(said)
    kind = values.pop("kind", None)
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    if known is None or not _is_whole(values, known):
        return None
    try:
        return known(**values)
    except (ConfigError, TypeError, ValueError):
        return None


@final
@dataclass(frozen=True, slots=True)
class Smaller:
    """Shrinks as another does, but keeps the pictures that it would make larger.

    Models that see more pixels than a picture has would have it travel enlarged.
    """

    inner: Fitting

    def __call__(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        """As the other's."""
        return self.inner(pixels)

    def shrink(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Shaped[Tensor, "b 3 _ _"]:
        """The other's, or the pictures themselves if those take fewer bytes."""
        shrunk = self.inner.shrink(pixels)
        return shrunk if shrunk.nbytes < pixels.nbytes else pixels


def _is_whole(values: Mapping[str, Any], kind: type[Preprocess] | type[PixelBudget]) -> bool:
    if set(values) != {field.name for field in fields(kind)}:
        return False
    whole = [name for name in ("size", "min_pixels", "max_pixels", "factor") if name in values]
    lists = [name for name in ("mean", "std") if name in values]
    return (
        all(type(values[n]) is int and 1 <= values[n] <= _MOST.get(n, 4096**2) for n in whole)
        and all(isinstance(values[n], list) for n in lists)
        and all(type(x) in {int, float} for n in lists for x in values[n])
    )
