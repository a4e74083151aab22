"""What a report needs of every row of a table: numbers and codes, never all of its texts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from beholder._page.plots import finite
from beholder.errors import ConfigError, DataError
from beholder.eval._ranking.cells import absent, cell_name
from beholder.eval._report.shown import ScoredPicture, Unread

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]
Parts = Callable[[Sequence[str]], Iterator["pa.Table"]]
"""Some columns of a table, part by part in order; asked for more than once."""

_KEY, _IMAGE, _PROMPT = "key", "image", "prompt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Which columns of a table a report reads.

    Attributes:
        reward: whose scores they are.
        parts: its total and aspects.
        others: further score columns, by their whole names.
        group, category, seed: columns of the checkpoint, of the prompt's category and of what
            tells apart pictures of one prompt; "" for none.
        table: every column that the table has.
    """

    reward: str
    parts: Sequence[str]
    others: Sequence[str] = ()
    group: str = ""
    category: str = ""
    seed: str = ""
    table: Sequence[str] = ()

    def __post_init__(self) -> None:
        if f"{self.reward}.total" not in self.table:
            known = ", ".join(sorted(name for name in self.table if name.endswith(".total")))
            raise DataError(f"no {self.reward}.total; the table has {known or 'none'}")

    @property
    def scores(self) -> dict[str, str]:
        """What a score is called -> its column."""
        return {p: f"{self.reward}.{p}" for p in self.parts} | {name: name for name in self.others}

    @property
    def errors(self) -> list[str]:
        """Columns that say why a row has no score."""
        return [name for name in (f"{self.reward}.error", "error") if name in self.table]

    def present(self) -> list[str]:
        """Every column that is read."""
        texts = [_KEY, _IMAGE, _PROMPT, self.group, self.category, self.seed]
        wanted = [*texts, *self.scores.values(), *self.errors]
        return [name for name in dict.fromkeys(wanted) if name in self.table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Numbers of every row.

    Attributes:
        scores: name -> (n,), NaN where a row has none; in a row of `unread` all are NaN.
        checkpoints: (n,) places in `groups`.
        cells: (n,) a hash of prompt and seed.
        groups: names of checkpoints in order of appearance; [""] if there are none.
        unread: rows without a score, and why.
    """

    scores: Mapping[str, Floats]
    checkpoints: npt.NDArray[np.int64]
    cells: npt.NDArray[np.uint64]
    groups: Sequence[str]
    unread: Sequence[Unread]

    def __len__(self) -> int:
        return len(self.checkpoints)

    def of(self, group: str, score: str) -> Floats:
        """The finite scores of a checkpoint."""
        return finite(self.scores[score][self.checkpoints == self.groups.index(group)])


def in_memory(rows: Sequence[Mapping[str, object]], names: Names) -> Parts:
    """The columns that a report reads of rows, as a table gives them."""
    import pyarrow as pa  # noqa: PLC0415

    def column(name: str) -> list[object]:
        values = [row.get(name) for row in rows]
        if name in names.scores.values():
            return [v if isinstance(v, int | float) else None for v in values]
        return [None if absent(v) else cell_name(v) for v in values]

    whole = pa.table({name: column(name) for name in names.present()})
    return lambda columns: iter([whole.select(columns)])


def read_columns(parts: Parts, names: Names) -> Columns:
    """The numbers of a table; memory is that of the numbers."""
    gathered = _Gathered({name: [] for name in names.scores})
    for part in parts(names.present()):
        gathered.add(part, names)
    return gathered.columns()


def rows_at(
    parts: Parts, columns: Sequence[str], rows: Iterable[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Those rows of a table by their numbers, in order of the table."""
    wanted = np.array(sorted(set(map(int, rows))), dtype=np.int64)
    start = 0
    for part in parts(columns) if len(wanted) else ():
        here = wanted[(wanted >= start) & (wanted < start + len(part))]
        if len(here):
            yield from zip(here.tolist(), part.take(here - start).to_pylist(), strict=True)
        start += len(part)


def pictured(row: Mapping[str, Any], names: Names) -> ScoredPicture:
    """A row with a score as the page shows it."""
    numbers = {
        name: float(row[column])
        for name, column in names.scores.items()
        if isinstance(row.get(column), int | float)
    }
    image = str(row[_IMAGE])
    return ScoredPicture(
        image=image,
        prompt=str(row.get(_PROMPT) or ""),
        total=numbers["total"],
        aspects={n: v for n, v in numbers.items() if n in names.parts and n != "total"},
        name=Path(image).name,
        group=_text(row, names.group),
        category=_text(row, names.category),
        seed=_text(row, names.seed),
        others={n: v for n, v in numbers.items() if n in names.others},
    )


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column) if column else None
    return "" if absent(value) else cell_name(value)


@dataclass(slots=True)
class _Gathered:
    """Columns in the making."""

    scores: dict[str, list[Floats]]
    checkpoints: list[npt.NDArray[np.int64]] = field(default_factory=list)
    cells: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    groups: dict[str, int] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)

    def add(self, part: pa.Table, names: Names) -> None:
        numbers = {name: _numbers(part, column) for name, column in names.scores.items()}
        lost = ~np.isfinite(numbers["total"]) | _has_text(part, names.errors)
        for name, values in numbers.items():
            self.scores[name].append(np.where(lost, np.nan, values))
        self.checkpoints.append(self._codes(part, names.group))
        self.cells.append(_hashes(part, _PROMPT) * np.uint64(31) + _hashes(part, names.seed))
        columns = [name for name in (_KEY, _IMAGE, *names.errors) if name in part.column_names]
        for row in part.select(columns).filter(lost).to_pylist():
            self.unread.append(_unread(row, names))

    def _codes(self, part: pa.Table, column: str) -> npt.NDArray[np.int64]:
        texts, at = _encoded(part, column)
        places = [self.groups.setdefault(text, len(self.groups)) for text in texts]
        return np.array(places, dtype=np.int64)[at]

    def columns(self) -> Columns:
        return Columns(
            scores={name: np.concatenate([[], *values]) for name, values in self.scores.items()},
            checkpoints=np.concatenate([np.zeros(0, np.int64), *self.checkpoints]),
            cells=np.concatenate([np.zeros(0, np.uint64), *self.cells]),
            groups=list(self.groups),
            unread=self.unread,
        )


def _numbers(part: pa.Table, column: str) -> Floats:
    import pyarrow as pa  # noqa: PLC0415

    try:  # not safe: beyond 2**53 an integer is drawn at the float next to it
        values: Floats = part[column].cast(pa.float64(), safe=False).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConfigError(f"column {column!r} holds no numbers; give a score column") from error
    return np.where(np.isfinite(values), values, np.nan)


def _has_text(part: pa.Table, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    import pyarrow.compute as pc  # noqa: PLC0415

    found = np.zeros(len(part), dtype=np.bool_)
    for column in columns:
        text = part[column].cast("string")
        found |= pc.fill_null(pc.not_equal(text, ""), fill_value=False).to_numpy()
    return found


def _encoded(part: pa.Table, column: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """What the cells of a column are called, and the place of each row's name among them."""
    import pyarrow.compute as pc  # noqa: PLC0415

    if column not in part.column_names:
        return [""], np.zeros(len(part), dtype=np.int64)
    encoded = pc.dictionary_encode(part[column].combine_chunks(), null_encoding="encode")
    names = ["" if absent(v) else cell_name(v) for v in encoded.dictionary.to_pylist()]
    return names, encoded.indices.to_numpy().astype(np.int64)


def _hashes(part: pa.Table, column: str) -> npt.NDArray[np.uint64]:
    texts, at = _encoded(part, column)
    digests = [hashlib.blake2b(os.fsencode(text), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)[at]


def _unread(row: Mapping[str, Any], names: Names) -> Unread:
    why = next((str(row[name]) for name in names.errors if row.get(name)), "")
    code, separator, reason = (why or "non-finite: the score is no number").partition(": ")
    if not separator:
        code, reason = "error", why
    return Unread(name=str(row.get(_IMAGE, row.get(_KEY, ""))), code=code, reason=reason)
