"""Rows whose keys are unique: repeated paths are numbered as `read_inputs` does, in two passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from beholder._inputs.rows import Row
from beholder._plan.repeats import Keys, hash_of
from beholder.errors import DataError

Uncounted = Iterable[tuple[Row, bool]]
"""Rows, and whether the key of each is its path, which may be repeated."""


def keyed(rows: Callable[[], Uncounted], name: str) -> Iterator[Row]:
    """The rows with paths that are repeated numbered "#2", "#3", ...

    Memory grows with the number of different keys that are repeated, and with no other.

    Args:
        rows: makes an iterator of them, twice.
        name: of the source.

    Raises:
        DataError: if a key of the source's own is repeated, or equals a numbered path.
    """
    with Keys() as keys:
        for row, _ in rows():
            keys.add(row.key)
        repeated = keys.repeated()
    if not repeated:
        yield from (row for row, _ in rows())
        return
    with Keys() as numbered:
        for row in _numbered(rows(), repeated, name):
            numbered.add(row.key)
            yield row
        if numbered.repeated():
            raise DataError(f"{name}: a path that ends in #2 or so is also repeated; give keys")


def check_unique(keys: Iterable[str], name: str) -> None:
    """Raise DataError if a key of a source's own is repeated."""
    with Keys() as found:
        for key in keys:
            found.add(key)
        if repeated := found.repeated():
            raise DataError(f"{name}: {len(repeated)} keys occur twice; keys must be unique")


def _numbered(rows: Uncounted, repeated: set[bytes], name: str) -> Iterator[Row]:
    seen: Counter[bytes] = Counter()
    for row, is_path in rows:
        hashed = hash_of(row.key)
        if hashed not in repeated:
            yield row
            continue
        seen[hashed] += 1
        if not is_path and seen[hashed] > 1:
            raise DataError(f"{name}: key {row.key!r} occurs twice; keys must be unique")
        yield replace(row, key=f"{row.key}#{seen[hashed]}") if seen[hashed] > 1 else row
