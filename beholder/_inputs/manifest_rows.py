"""Rows of manifests and data sets: records with a picture, a prompt and further columns."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

from beholder._inputs.records import ALIASES, Records, column_of, name_of_column
from beholder._inputs.remote_files import fetch_each
from beholder._inputs.rows import Inputs, Row
from beholder.errors import DataError, ImageError
from beholder.images import ImageSource
from beholder.storage import STORES, Place, is_remote, scheme_of


def manifest_rows(records: Records, root: Place, name: str, before: int = 0) -> Inputs:
    """The pictures and prompts of records.

    Args:
        records: of a manifest or data set.
        root: paths of pictures are relative to it.
        name: of the source.
        before: records that come before these, for the keys of those that have no path.

    Raises:
        DataError: if there is no picture column.
    """
    columns = named_columns(records.columns, name)

    def rows() -> Iterator[Row]:
        found = _numbered(uncounted_rows(records, columns, root, name, before))
        return fetch_each(found) if root.is_remote else found

    return Inputs(name, columns["prompt"] is not None, rows, records.count)


def named_columns(columns: Sequence[str], name: str) -> dict[str, str | None]:
    """The picture, prompt and key column; DataError if there is no picture column."""
    named = {kind: column_of(kind, columns) for kind in ALIASES}
    if named["image"] is None:
        raise DataError(
            f"{name} has no picture column; it has {', '.join(columns)}, "
            f"expected one of {', '.join(ALIASES['image'])}"
        )
    return named


def uncounted_rows(
    records: Records, columns: Mapping[str, str | None], root: Place, name: str, before: int = 0
) -> Iterator[tuple[Row, bool]]:
    """Each row, and whether its key is its path, which may be repeated; remote ones by address."""
    used, above = set(columns.values()), root.absolute.rstrip("/")
    places = repeat(None) if records.places is None else records.places()
    for number, (record, place) in enumerate(zip(records.read(), places, strict=False), before):
        image, path, shown = _picture_of(record.get(columns["image"] or ""), root, above)
        own = None if columns["key"] is None else record.get(columns["key"])
        prompt = record.get(columns["prompt"] or "")
        row = Row(
            key=str(own) if own is not None else path or f"row {number}",
            image=image,
            prompt=None if prompt is None else str(prompt),
            name=shown or place or f"{name}#{number}",
            extra={
                name_of_column(n): v
                for n, v in record.items()
                if n not in used and not _holds_bytes(v)
            },
        )
        yield row, own is None


def _numbered(rows: Iterator[tuple[Row, bool]]) -> Iterator[Row]:
    seen: Counter[str] = Counter()
    for row, is_path in rows:
        seen[row.key] += is_path
        repeated = is_path and seen[row.key] > 1
        yield replace(row, key=f"{row.key}#{seen[row.key]}") if repeated else row


def _picture_of(value: Any, root: Place, above: str) -> tuple[ImageSource | None, str, str]:
    """What to decode, its key, and where it is; the latter two are "" for embedded pictures."""
    if isinstance(value, (str, os.PathLike)) and os.fspath(value):
        path = os.fspath(value)
        where = _located(path, root, above)
        key = path if _is_simple(path) else Path(path).as_posix()
        return (where if _is_near(path, root) else _not_fetched(where)), key, where
    if isinstance(value, Mapping):  # as `datasets` writes pictures
        embedded, named = value.get("bytes"), value.get("path")
        return (embedded, str(named or ""), "") if embedded else _picture_of(named, root, above)
    return (None if value == "" else value), "", ""


def _located(path: str, root: Place, above: str) -> str:
    if root.is_remote:
        return path if is_remote(path) else str(root / path.lstrip("/"))
    if _is_simple(path) and not path.startswith("/"):
        return f"{above}/{path}"
    return os.path.abspath(os.path.join(above, path))  # noqa: PTH100, PTH118


def _is_near(path: str, root: Place) -> bool:
    """Whether a picture lies in a store or beside its list: no list sends us to other hosts."""
    if not root.is_remote or not is_remote(path) or scheme_of(path) in STORES:
        return True
    return path.split("/")[:3] == root.address.split("/")[:3]


def _not_fetched(where: str) -> ImageError:
    return ImageError(
        "unreadable", f"{where!r} is on another host than its list; download it first"
    )


def _is_simple(path: str) -> bool:
    """Whether a path is surely as short as it can be, which most are and pathlib tells slowly."""
    return not (path.startswith(".") or path.endswith("/") or "//" in path or "/." in path)


def _holds_bytes(value: object) -> bool:
    if isinstance(value, (str, int, float)):
        return False
    if isinstance(value, Mapping):
        return any(map(_holds_bytes, value.values()))
    return isinstance(value, (bytes, bytearray, memoryview))
