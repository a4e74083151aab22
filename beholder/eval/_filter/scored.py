"""A score table with its win probabilities, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from beholder.calibration import Calibration
from beholder.errors import ConfigError
from beholder.eval.win_columns import WIN, win_columns, with_wins
from beholder.tables import ScoreTable, unknown

if TYPE_CHECKING:
    import pyarrow as pa


class ScoredRows:
    """Rows of a table with the win probabilities of its calibrated rewards; see `win_columns`."""

    def __init__(self, table: ScoreTable, calibrations: Mapping[str, Calibration]) -> None:
        self.table = table
        self._known, self._stored = calibrations, table.columns
        self._made = win_columns(calibrations)
        self._wins = {
            name: f"{reward}.{score}"
            for name, (reward, score) in self._made.items()
            if f"{reward}.{score}" in self._stored and name not in self._stored
        }

    @property
    def columns(self) -> list[str]:
        """The table's columns, then those that are made."""
        return [*self._stored, *self._wins]

    def used(self, columns: Sequence[str]) -> dict[str, Calibration]:
        """Of these columns the win probabilities that are made: reward -> its calibration."""
        rewards = [self._made[name][0] for name in columns if name in self._wins]
        return {reward: self._known[reward] for reward in rewards}

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Each part in turn, all of one schema: all columns, or those that are asked for."""
        wanted = self.columns if columns is None else list(columns)
        reads = dict.fromkeys(self._wins.get(name, name) for name in wanted)
        for part in self.table.parts(list(reads)):
            yield with_wins(part, self._known).select(wanted)

    def check(self, columns: Sequence[str], equated: Mapping[str, str] = {}) -> None:
        """Raise ConfigError unless all are columns; of a win probability it says what it needs.

        `equated` tells with which column one is compared: an unknown one may be an unquoted text.
        """
        for name in columns:
            reward = name.partition(".")[0]
            if name in self._stored or name in self._wins:
                continue
            if name.endswith(f".{WIN}") and reward in self.table.rewards:
                raise ConfigError(_no_win(name, reward, self._known))
            why = unknown("column", name, self.columns)
            if equated.get(name) in self.columns:
                why += f"; a text stands in quotes: {equated[name]} == {name!r}"
            raise ConfigError(why)


def _no_win(name: str, reward: str, calibrations: Mapping[str, Calibration]) -> str:
    if reward not in calibrations:
        return (
            f"there is no {name} without a calibration of {reward}; make one with `beholder "
            f"calibrate` and give --calibration {reward}=FILE"
        )
    score = name.removeprefix(f"{reward}.").removesuffix(f".{WIN}")
    why = calibrations[reward].left_out.get(score, "the reward has no such score")
    return f"there is no {name}, the calibration of {reward} leaves {score} out: {why}"
