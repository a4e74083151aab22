"""Columns of texts that a rule uses as numbers, as CSV files give them.

A column counts as numbers if every text in it reads as a finite one; what decides is the whole
column. Its texts stay as they are: the numbers stand beside them, in a further column of each part.
An empty text is no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beholder.errors import ConfigError
from beholder.eval._filter.decision import Parts

if TYPE_CHECKING:
    import pyarrow as pa

Pair = tuple[str, str, str]
"""Two columns that are compared with each other, and how, such as "less"."""

_BESIDE = "\0number "
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^-?[0-9]{1,18}$"


class NumberedRows:
    """Rows of a table with the numbers that some of its texts are.

    Args:
        table: the rows.
        whole: column of texts -> whether its numbers are whole.
    """

    def __init__(self, table: Parts, whole: Mapping[str, bool]) -> None:
        self._table, self._whole = table, whole

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Each part in turn, those columns of texts that it has followed by their numbers."""
        for part in self._table.parts(columns):
            numbered = part
            for name, is_whole in self._whole.items():
                if name in part.column_names:
                    found = _numbers(part[name], is_whole=is_whole)
                    numbered = numbered.append_column(_BESIDE + name, found)
            yield numbered


def with_numbers(table: Parts, used: Mapping[str, str], pairs: Sequence[Pair]) -> NumberedRows:
    """The table with numbers beside the texts that a rule uses as such.

    Args:
        table: the rows; those of its columns that may be meant are read once more.
        used: column that is used as numbers -> the number that it is compared with, "" for none.
        pairs: columns that are compared; a text beside a number is used as one.

    Raises ConfigError if such a column holds a text that is no finite number.
    """
    asked = list(dict.fromkeys([*used, *(name for pair in pairs for name in pair[:2])]))
    texts = _texts(table, asked) if asked else set()
    mixed = [n for *pair, _ in pairs if any(each not in texts for each in pair) for n in pair]
    meant = [name for name in asked if name in texts and (name in used or name in mixed)]
    whole = dict.fromkeys(meant, True)
    for part in table.parts(meant) if meant else ():
        for name in meant:
            is_whole = _is_whole(part[name], name, used.get(name, ""))
            whole[name] = whole[name] and is_whole
    return NumberedRows(table, whole)


def number_column(part: pa.Table, name: str) -> pa.ChunkedArray:
    """A column, or the numbers that its texts are."""
    return part[number_name(part, name)]


def number_name(part: pa.Table, name: str) -> str:
    """What `number_column` is called in a part."""
    return _BESIDE + name if _BESIDE + name in part.column_names else name


def _texts(table: Parts, columns: Sequence[str]) -> set[str]:
    """Which of the columns are of texts."""
    import pyarrow as pa  # noqa: PLC0415

    for part in table.parts(columns):
        kinds = zip(part.schema.names, part.schema.types, strict=True)
        return {n for n, k in kinds if pa.types.is_string(k) or pa.types.is_large_string(k)}
    return set()


def _is_whole(column: pa.ChunkedArray, name: str, beside: str) -> bool:
    """Whether all numbers are whole; ConfigError if a text is no finite number."""
    import pyarrow.compute as pc  # noqa: PLC0415

    texts = _plain(column).drop_null()
    reads = pc.match_substring_regex(texts, _NUMBER)
    finite = pc.is_finite(pc.if_else(reads, texts, "nan").cast("float64"))
    if not pc.all(finite, min_count=0).as_py():
        text = texts.filter(pc.invert(finite))[0].as_py()
        remedy = f"{_written(name)} == {(beside or text[:40])!r}"
        raise ConfigError(
            f"{name} holds texts such as {text[:40]!r}, which is no number, and numbers are asked "
            f"for; a comparison of texts is written as {remedy}"
        )
    is_whole: bool = pc.all(pc.match_substring_regex(texts, _WHOLE), min_count=0).as_py()
    return is_whole


def _numbers(column: pa.ChunkedArray, *, is_whole: bool) -> Any:
    return _plain(column).cast("int64" if is_whole else "float64")


def _plain(column: pa.ChunkedArray) -> Any:
    import pyarrow.compute as pc  # noqa: PLC0415

    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _written(name: str) -> str:
    is_plain = all(part.isidentifier() for part in name.split("."))
    return name if is_plain else f'column["{name}"]'
