"""Scores of a table as win probabilities: columns that are made where they are asked for.

"mine.win" is how likely people prefer a picture to one of the reference set of the reward "mine",
by its total; "mine.alignment.win" by an aspect. They follow from the scores and the reward's
`calibration.json`, which `score` keeps beside the scores; so a table of an older run needs no
scoring again, and a new calibration no new table.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from beholder.calibration import Calibration, Floats, read_calibration
from beholder.errors import ConfigError
from beholder.tables import ScoreTable, unknown

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger(__name__)

WIN = "win"
"""Ends the name of a column of win probabilities."""


def table_calibrations(
    table: ScoreTable, given: Mapping[str, str | Path] | None = None
) -> dict[str, Calibration]:
    """Reward -> its calibration: the one that the table keeps, or the file that is given.

    One that the table keeps, but of other weights, precision or options than those that made the
    scores, is set aside with a warning.

    Raises:
        ConfigError: if a file is given for a reward that the table has no scores of, or it belongs
            to other weights or options than those that made the scores.
        DataError: if a file is no calibration.
    """
    wanted = given or {}
    found = {name: _kept(table, name) for name in table.rewards if name not in wanted}
    known = {name: calibration for name, calibration in found.items() if calibration is not None}
    return known | {name: _given(table, name, path) for name, path in wanted.items()}


def win_columns(calibrations: Mapping[str, Calibration]) -> dict[str, tuple[str, str]]:
    """Name of each column that can be made -> the reward and the score that it is made of."""
    return {
        f"{reward}.{WIN}" if score == "total" else f"{reward}.{score}.{WIN}": (reward, score)
        for reward, calibration in calibrations.items()
        for score in calibration.scores
    }


def with_wins(data: pa.Table, calibrations: Mapping[str, Calibration]) -> pa.Table:
    """The rows of a table with their win probabilities, null where there is no score.

    A column that the rows have under that name already, such as of an input, is kept as it is.
    """
    import pyarrow as pa  # noqa: PLC0415

    for name, (reward, score) in win_columns(calibrations).items():
        source = f"{reward}.{score}"
        if source in data.column_names and name not in data.column_names:
            known = calibrations[reward].scores[score]
            found = known.win_probability(_floats(data[source]))
            data = data.append_column(name, pa.array(found, pa.float64(), from_pandas=True))
    return data


def _floats(column: pa.ChunkedArray) -> Floats:
    """Numbers, NaN where there is none."""
    import pyarrow as pa  # noqa: PLC0415

    values: Floats = column.cast(pa.float64(), safe=False).to_numpy()
    return values


def _kept(table: ScoreTable, name: str) -> Calibration | None:
    """The calibration that the table keeps of a reward; None if there is none of its scores."""
    place = table.calibration(name)
    if not place.exists():
        return None
    with place.local() as path:
        found = read_calibration(path)
    if why := _strange(found, table, name):
        _LOG.warning("%s is not used: it %s", place, why)
        return None
    return found


def _given(table: ScoreTable, name: str, path: str | Path) -> Calibration:
    if name not in table.rewards:
        raise ConfigError(unknown("reward", name, table.rewards))
    found = read_calibration(path)
    if why := _strange(found, table, name):
        raise ConfigError(f"{path} {why}")
    return found


def _strange(found: Calibration, table: ScoreTable, name: str) -> str:
    """Why a calibration says nothing of a table's scores, and what to do; "" if it does."""
    owner, scored = found.owner, table.config(name)
    if owner is not None and dict(owner.options) != scored.get("options"):
        return (
            f"belongs to other options than those with which {name} scored {table.folder}; "
            "calibrate with these by --set and --out, and give that file"
        )
    if owner is None or owner.weights != scored.get("weights"):
        return (
            f"belongs to other weights than those that made the {name} scores of {table.folder}, "
            f"or to another precision of them{_precision(found)}; calibrate with the --dtype of "
            "`score` and --out, and give that file"
        )
    return ""


def _precision(found: Calibration) -> str:
    precision = "" if found.owner is None else found.owner.precision
    return f" ({precision})" if precision else ""
