"""What a filter decided: for each row of a table whether it is kept, or the reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from beholder.errors import DataError
from beholder.tables import error_code

if TYPE_CHECKING:
    import pyarrow as pa

REASON = "reason"
"""The column that says why a row was dropped."""

_ERROR = "error: "


@runtime_checkable
class Parts(Protocol):
    """Rows that can be read part by part, any number of times, in the same order."""

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Each part in turn, all of one schema: all columns, or those that are asked for."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which rows are kept, and why the others are not; 4 bytes a row.

    Attributes:
        table: the rows that were decided on.
        reasons: what rows are dropped for; one that begins with "error: " counts under the code
            that follows.
        codes: (n,) 0 for a row that is kept, k for one dropped for `reasons[k - 1]`.
        details: row -> its reason in more words, such as "near duplicate of a.png (0.973)".
        told_by: k -> the column that tells the reason in more words, for reasons of many rows.
    """

    table: Parts
    reasons: Sequence[str]
    codes: npt.NDArray[np.int32]
    details: Mapping[int, str] = field(default_factory=dict)
    told_by: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each row is kept."""
        found: npt.NDArray[np.bool_] = self.codes == 0
        return found

    def kept_parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The kept rows of each part of the table, perhaps none, in order and of one schema."""
        for start, part in self._placed(columns):
            yield part.filter(self.codes[start : start + len(part)] == 0)

    def dropped_parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The dropped rows of each part of the table, perhaps none, with their `reason`."""
        import pyarrow as pa  # noqa: PLC0415

        asked = None if columns is None else [c for c in columns if c != REASON]
        for start, part in self._placed(asked, list(self.told_by.values())):
            rows = np.flatnonzero(self.codes[start : start + len(part)])
            dropped = part.take(pa.array(rows))
            whys = pa.array(self._whys(start + rows, dropped), pa.string())
            wanted = [c for c in asked or part.column_names if c != REASON]
            yield dropped.select(wanted).append_column(REASON, whys)

    def counts(self) -> dict[str, int]:
        """Kind of reason -> rows that it dropped, the most frequent first, then by name."""
        found: dict[str, int] = {}
        rows = np.bincount(self.codes, minlength=len(self.reasons) + 1)[1:]
        for reason, count in zip(self.reasons, rows.tolist(), strict=True):
            if count:
                found[kind(reason)] = found.get(kind(reason), 0) + count
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def reason(self, row: int) -> str | None:
        """Why a row was dropped, None if it is kept."""
        code = int(self.codes[row])
        return self.details.get(row, self.reasons[code - 1]) if code else None

    def _placed(
        self, columns: Sequence[str] | None, further: Sequence[str] = ()
    ) -> Iterator[tuple[int, pa.Table]]:
        wanted = None if columns is None else list(dict.fromkeys([*columns, *further]))
        start = 0
        for part in self.table.parts(wanted):
            if start + len(part) > len(self):
                raise DataError("the table grew while it was filtered; run the same again")
            yield start, part
            start += len(part)

    def _whys(self, rows: npt.NDArray[np.int64], dropped: pa.Table) -> list[str]:
        codes = self.codes[rows]
        whys = [self.reasons[code - 1] for code in codes.tolist()]
        for code, column in self.told_by.items():
            at = np.flatnonzero(codes == code)
            for k, text in zip(at.tolist(), dropped[column].take(at).to_pylist(), strict=True):
                whys[k] = f"{_ERROR}{text}"
        for k, row in enumerate(rows.tolist() if self.details else ()):
            whys[k] = self.details.get(row, whys[k])
        return whys


def kind(reason: str) -> str:
    """What a reason is counted under: the code of an error, otherwise the reason itself."""
    if reason.startswith(_ERROR):
        return error_code(reason.removeprefix(_ERROR))
    return reason
