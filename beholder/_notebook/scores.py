"""Scores as a sheet: a row a picture, with maps and misaligned words where there are any."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from beholder._notebook.colours import fault_overlay
from beholder._notebook.plain import counted, figure
from beholder._notebook.sheet import ROWS, Cell, Drawn, Sheet

if TYPE_CHECKING:
    from beholder.types import Scores

_SIDE = 48
_MAJORITY = 0.5


def scores_sheet(scores: Scores, *, pictures: bool = True) -> Sheet:
    """One row a picture: total, aspects, maps, misaligned words, and why a row has no score.

    Without `pictures` no map is drawn.
    """
    shown = range(min(len(scores), ROWS))
    columns: dict[str, list[Cell]] = {"": list(shown)}
    for name, values in {"total": scores.total, **scores.aspects}.items():
        columns[name] = _numbers(values, scores.deviations.get(name))
    for name, maps in scores.maps.items() if pictures else ():
        columns[name] = [_drawn(name, maps[k], scores.errors.get(k)) for k in shown]
    if scores.words:
        columns["misaligned"] = [_misaligned(scores, k) for k in shown]
    if scores.errors:
        columns["no score because"] = [scores.errors.get(k, "") for k in shown]
    return Sheet(
        title=_title(scores),
        header=list(columns),
        rows=list(zip(*columns.values(), strict=True)),
        unlisted=max(0, len(scores) - ROWS),
    )


def _title(scores: Scores) -> str:
    said = f"Scores of {counted(len(scores), 'picture')}"
    return f"{said}, {len(scores.errors):,} without one" if scores.errors else said


def _numbers(values: Float[Tensor, " b"], deviation: Tensor | None) -> list[Cell]:
    found = _first(values)
    if deviation is None:
        return list(found)
    pairs = zip(found, _first(deviation), strict=True)
    return [
        None if isnan(value) else f"{figure(value)} ± {figure(unsure)}" for value, unsure in pairs
    ]


def _first(values: Float[Tensor, " b"]) -> list[float]:
    return [float(value) for value in values[:ROWS].detach().float().cpu()]


def _drawn(name: str, marked: Float[Tensor, "h w"], why: str | None) -> Cell:
    if why is not None:
        return ""
    known = marked.detach().float().cpu().nan_to_num(0.0)
    return Drawn(fault_overlay(known.clamp(0, 1), (_SIDE, _SIDE)), f"{name} map", is_map=True)


def _misaligned(scores: Scores, row: int) -> str:
    words = scores.words[row] if row < len(scores.words) else ()
    return ", ".join(word.word for word in words if word.p_misaligned > _MAJORITY)
