"""Reading a folder of `inputs/` and `rewards/` that grew shard by shard; see `tables`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from beholder._tables.shards import INPUT_COLUMNS, INPUTS, Shards, unknown
from beholder._tables.stored_table import StoredTable, attach, refuse_repeats
from beholder.calibration import FILE as CALIBRATION
from beholder.errors import ConfigError, DataError
from beholder.storage import Place

if TYPE_CHECKING:
    import pyarrow as pa

PART_ROWS = 65_536
"""Rows of a part."""
_KEY, _, _ = INPUT_COLUMNS


class AppendedTable(StoredTable):
    """Inputs and each reward's scores, joined by key as they are read, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs = Shards(folder / INPUTS, INPUTS)

    @override
    def __len__(self) -> int:
        return self.inputs.rows()

    @property
    @override
    def rewards(self) -> list[str]:
        """Names of the rewards whose scores are here, in alphabetical order."""
        folders = (self.folder / "rewards").glob("*/")
        return sorted(f.name for f in folders if self.scores(f.name).paths())

    @property
    @override
    def columns(self) -> list[str]:
        """Names of all columns, the inputs' first; DataError if there is no table here."""
        if not self.inputs.paths():
            raise self._absence()
        scores = [c for name in self.rewards for c in self.scores(name).columns() if c != _KEY]
        return [*self.inputs.columns(), *scores]

    def scores(self, reward: str) -> Shards:
        """The shards of a reward."""
        return Shards(self.folder / "rewards" / reward, reward)

    @override
    def config(self, reward: str) -> dict[str, Any]:
        """What the scores of a reward were computed with."""
        return self.scores(reward).config()

    @override
    def calibration(self, reward: str) -> Place:
        """Where the calibration of a reward is, if it has one."""
        return Place(self.folder / "rewards" / reward / CALIBRATION)

    @override
    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Slices of the table, joined by key, in input order.

        Raises:
            ConfigError: if a column is unknown.
            DataError: if there is no table here, or a shard is damaged or not ours.
        """
        whole = self.read(columns)
        for start in range(0, max(len(whole), 1), PART_ROWS):
            yield whole.slice(start, PART_ROWS)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The table in one piece; see `parts`."""
        wanted = self.columns if columns is None else list(columns)
        inputs = self.inputs.read()
        if inputs is None:
            raise self._absence()
        refuse_repeats(inputs, self.folder)
        for reward in self.rewards:
            if any(name.startswith(f"{reward}.") for name in wanted):
                scores = self.scores(reward).read()
                refuse_repeats(scores, self.folder)
                inputs = attach(inputs, scores, {f"{reward}.error"})
        for name in wanted:
            if name not in inputs.column_names:
                raise ConfigError(unknown("column", name, self.columns))
        return inputs.select(wanted)

    def _absence(self) -> DataError:
        return DataError(f"{self.folder} holds no score table; `beholder score` writes one")
