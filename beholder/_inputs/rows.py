"""A picture to score with what is known of it, and all of them as one stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from beholder.images import ImageSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One picture to score.

    Attributes:
        key: names the row in the table; unique.
        image: what is decoded; None if the manifest names no picture, which is an error of the row.
        prompt: None if there is none.
        name: where the picture is, as `beholder.located` finds it again: its absolute path or its
            address, "ARCHIVE/member", or "FILE.parquet#row"; "data set#row" of one in memory.
        extra: further columns of the manifest or archive.
    """

    key: str
    image: ImageSource | None
    prompt: str | None
    name: str
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Rows of one source, read anew at each iteration; memory stays flat.

    Attributes:
        source: what they were read from.
        has_prompts: whether the source has prompts at all.
        rows, count: make an iterator of the rows, and say how many there are.
        is_counted: whether `count` opens or fetches little; of archives it opens each.
    """

    source: str
    has_prompts: bool
    rows: Callable[[], Iterator[Row]]
    count: Callable[[], int]
    is_counted: bool = True

    def __iter__(self) -> Iterator[Row]:
        return self.rows()

    def __len__(self) -> int:
        return self.count()
