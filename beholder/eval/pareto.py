"""Which checkpoints nothing beats in everything: the Pareto front of any number of objectives.

A point dominates another if it is at least as good in every objective and better in one (Pareto,
1906). Equal points do not dominate each other, so duplicates are on the front together or not at
all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import Floats

Flags = npt.NDArray[np.bool_]
_CELLS = 2**22  # comparisons that are held at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One thing that a checkpoint should have much or little of.

    Attributes:
        name: how it is called.
        minimise: whether less is better, as of a cost.
        column: the score column whose mean over prompts it is; "" if `values` are given.
        values: checkpoint -> number, where it is no column; a checkpoint may be absent.
        source: where the values come from, for the record.

    Raises ConfigError unless a column or values are given, one of them.
    """

    name: str
    minimise: bool = False
    column: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        if bool(self.column) == bool(self.values):
            raise ConfigError(
                f"the objective {self.name!r} needs a score column or values, one of them"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoPoint:
    """One checkpoint among the objectives.

    Attributes:
        name: the checkpoint.
        values: objective -> its number; NaN if it is not known.
        on_front: whether no other checkpoint dominates it; False if an objective is not known.
        dominated_by: the checkpoints that do.
        missing: the objectives that are not known; such a point is compared with none.
        frequency: share of the bootstrap draws in which it is on the front, in [0, 1]; NaN
            without draws. Objectives that are numbers, not columns, stay fixed in them.
    """

    name: str
    values: Mapping[str, float]
    on_front: bool
    dominated_by: Sequence[str]
    missing: Sequence[str]
    frequency: float

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def pareto_front(
    names: Sequence[str],
    values: Floats,
    objectives: Sequence[Objective],
    samples: Floats | None = None,
) -> list[ParetoPoint]:
    """Each point with those that dominate it, in the order of `names`.

    Args:
        names: of the points.
        values: (points, objectives); NaN where a number is not known.
        objectives: say which are minimised.
        samples: redrawn values (draws, points, objectives), for `frequency`.

    Raises DataError if the shapes do not fit.
    """
    if values.shape != (len(names), len(objectives)):
        raise DataError(
            f"values of shape {values.shape} for {len(names)} points and {len(objectives)} "
            "objectives; give a row for each point and a column for each objective"
        )
    sign = np.array([-1.0 if o.minimise else 1.0 for o in objectives])
    beaten = dominance(values * sign)
    known = _known(values)
    frequency = np.full(len(names), math.nan) if samples is None else _frequency(samples * sign)
    return [
        ParetoPoint(
            name=name,
            values={o.name: float(v) for o, v in zip(objectives, values[k], strict=True)},
            on_front=bool(known[k] and not beaten[:, k].any()),
            dominated_by=[names[other] for other in np.flatnonzero(beaten[:, k])],
            missing=[
                o.name for o, v in zip(objectives, values[k], strict=True) if not math.isfinite(v)
            ],
            frequency=float(frequency[k]) if known[k] else math.nan,
        )
        for k, name in enumerate(names)
    ]


def dominance(values: Floats) -> Flags:
    """[..., i, j]: point i dominates j, of values (..., points, objectives) that are maximised.

    A point with a value that is not finite dominates nothing and is dominated by nothing.
    """
    ours, theirs = values[..., :, None, :], values[..., None, :, :]
    known = _known(values)
    both = known[..., :, None] & known[..., None, :]
    dominates: Flags = (ours >= theirs).all(-1) & (ours > theirs).any(-1) & both
    return dominates


def _known(values: Floats) -> Flags:
    """Whether all objectives of a point are finite, (..., points)."""
    known: Flags = np.asarray(np.isfinite(values).all(-1))
    return known


def _frequency(samples: Floats) -> Floats:
    """Share of the draws in which each point is on the front, (points,)."""
    draws, points, objectives = samples.shape
    chunk = max(1, _CELLS // max(1, points * points * objectives))
    fronts = np.zeros(points)
    for at in range(0, draws, chunk):
        some = samples[at : at + chunk]
        known = _known(some)
        fronts += (known & ~dominance(some).any(-2)).sum(0)
    frequency: Floats = fronts / draws
    return frequency
