"""An answer of /v1/score as scores: finite numbers, or NaN with a code and the reason."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import ServerError
from beholder.rewards._remote.served import Served
from beholder.rewards._remote.session import one_line
from beholder.types import Scores, WordLabel

_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_MOST_SIDE = 8192


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of one picture.

    Attributes:
        error: why it has no score, "code: why"; "" if it has.
        total: NaN if there is an error.
        aspects: NaN for those that are not known.
        deviations: of aspects.
        maps: by kind.
        words: of the prompt.
    """

    error: str = ""
    total: float = math.nan
    aspects: Mapping[str, float] = field(default_factory=dict)
    deviations: Mapping[str, float] = field(default_factory=dict)
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    words: Sequence[WordLabel] = ()


def rows_of(body: object, served: Served, count: int) -> list[Row]:
    """What an answer says of each of the pictures that were asked about.

    Raises ServerError if it is not one answer each, in the form that was agreed.
    """
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(results, list) or len(results) != count:
        said = len(results) if isinstance(results, list) else "no"
        raise ServerError(f"the server gave {said} results for {count} pictures")
    try:
        return [_row(result, served) for result in results]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ServerError(
            f"the server's answer for {served.name} is not in the form that this version reads "
            f"({type(error).__name__}); use one version of beholder on both sides"
        ) from error


def scores_of(rows: Sequence[Row], served: Served) -> Scores:
    """Rows as scores, in float32 on the CPU.

    Raises ServerError if the maps of pictures of one size differ in size.
    """
    good = [row for row in rows if not row.error]
    deviations = dict.fromkeys(name for row in good for name in row.deviations)
    return Scores(
        total=torch.tensor([row.total for row in rows], dtype=torch.float32),
        aspects={
            name: torch.tensor([row.aspects.get(name, math.nan) for row in rows])
            for name in served.card.aspects
        },
        maps=_maps(rows, good),
        words=tuple(tuple(row.words) for row in rows) if any(row.words for row in rows) else (),
        errors={at: row.error for at, row in enumerate(rows) if row.error},
        deviations={
            name: torch.tensor([row.deviations.get(name, math.nan) for row in rows])
            for name in deviations
        },
    )


def fault(code: object, message: object) -> Row:
    """A picture without a score, for a reason that a server gave."""
    known = code if isinstance(code, str) and _CODE.fullmatch(code) else "refused"
    return Row(error=f"{known}: {one_line(message)}")


def _row(result: Any, served: Served) -> Row:
    scores, errors = result.get("scores") or {}, result.get("errors") or {}
    if (served.name in scores) == (served.name in errors):
        raise ValueError("neither a score nor an error, or both")
    if served.name in errors:
        return fault(errors[served.name].get("code"), errors[served.name].get("message", ""))
    said = scores[served.name]
    aspects = said.get("aspects") or {}
    return Row(
        total=_number(said["total"]),
        aspects={
            name: math.nan if aspects[name] is None else _number(aspects[name])
            for name in served.card.aspects
        },
        deviations={name: _number(v) for name, v in (said.get("deviations") or {}).items()},
        maps={kind: _map(drawn) for kind, drawn in (said.get("maps") or {}).items()},
        words=[_word(word) for word in said.get("words") or ()],
    )


def _number(said: object) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said):
        raise ValueError("not a finite number")
    return float(said)


def _map(said: Any) -> Float[Tensor, "h w"]:
    height, width = said["height"], said["width"]
    if not all(type(side) is int and 0 < side <= _MOST_SIDE for side in (height, width)):
        raise ValueError("a size that no map has")
    try:
        data = base64.b64decode(said["data"], validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    drawn = np.frombuffer(data, "<f4").astype(np.float32).reshape(height, width)
    return torch.from_numpy(drawn)


def _word(said: Any) -> WordLabel:
    word, start, end = said["word"], said["start"], said["end"]
    if not isinstance(word, str) or type(start) is not int or type(end) is not int:
        raise TypeError("a word without text and span")
    return WordLabel(word, start, end, _number(said["p_misaligned"]))


def _maps(rows: Sequence[Row], good: Sequence[Row]) -> dict[str, Float[Tensor, "b h w"]]:
    kinds = dict.fromkeys(kind for row in good for kind in row.maps)
    found = {}
    for kind in kinds:
        sizes = {tuple(row.maps[kind].shape) if kind in row.maps else () for row in good}
        if len(sizes) > 1:
            raise ServerError(f"the server drew maps {kind!r} of several sizes for one batch")
        nothing = torch.full(next(iter(sizes)), math.nan)
        found[kind] = torch.stack([row.maps.get(kind, nothing) for row in rows])
    return found
