"""The Pareto front of checkpoints whose objectives are score columns or given numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from beholder.errors import ConfigError
from beholder.eval._bootstrap import Floats
from beholder.eval._ranking.cells import Cells, by_prompt, layout
from beholder.eval._ranking.redrawing import redrawn
from beholder.eval.pareto import Objective, ParetoPoint, pareto_front


def front(
    names: Sequence[str],
    objectives: Sequence[Objective],
    cells: Callable[[str], Cells],
    *,
    resample: str,
    draws: int,
    seed: int,
) -> list[ParetoPoint]:
    """Each checkpoint among the objectives, columns redrawn together and given numbers fixed.

    The same prompts and pictures are redrawn for every column, whichever of them have a score.
    `cells` gives the pictures of a score column. Raises ConfigError if given numbers name no
    checkpoint of these.
    """
    found = [
        _column(names, cells(each.column), resample, draws, seed)
        if each.column
        else _given(names, each, draws)
        for each in objectives
    ]
    values = np.stack([value for value, _ in found], axis=-1)
    samples = np.stack([sample for _, sample in found], axis=-1)
    redraws = samples if any(each.column for each in objectives) else None
    return pareto_front(names, values, objectives, redraws)


def _column(
    names: Sequence[str], cells: Cells, resample: str, draws: int, seed: int
) -> tuple[Floats, Floats]:
    """Means (m,) of a column, and those of the draws (draws, m)."""
    total = by_prompt(layout(cells)).total()
    drawn = redrawn(cells, resample, draws, seed, of_all=True)
    at = [cells.names.index(name) for name in names]
    with np.errstate(invalid="ignore"):
        return (total.mean / total.has)[0, at], (drawn.mean / drawn.has)[:, at]


def _given(names: Sequence[str], objective: Objective, draws: int) -> tuple[Floats, Floats]:
    given = objective.values
    found = [given.get(name, given.get(f"{name}.0")) for name in names]  # pandas writes 1000 so
    if all(value is None for value in found):
        raise ConfigError(
            f"the objective {objective.name!r} has numbers of {', '.join(objective.values)}, but "
            f"the checkpoints are {', '.join(names)}"
        )
    values = np.array([math.nan if value is None else value for value in found])
    return values, np.broadcast_to(values, (draws, len(names)))
