"""Prompts with what their set says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from typing import final, overload

from typing_extensions import override

from beholder.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt.

    Attributes:
        prompt: its text.
        category: what its set files it under; "" if nothing.
        further: other columns of its set; what JSON can say.
    """

    prompt: str
    category: str = ""
    further: Mapping[str, object] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class PromptSet(Sequence[PromptRow]):
    """Prompts that differ from each other, in order.

    Attributes:
        name: what the set was asked for by.
        rows: the prompts.
        duplicates: rows left out because an earlier one has their prompt.
    """

    name: str
    rows: tuple[PromptRow, ...]
    duplicates: int = 0

    @property
    def categories(self) -> list[str]:
        """Categories in order of appearance, without "" of rows that have none."""
        return list(dict.fromkeys(row.category for row in self.rows if row.category))

    @property
    def sha256(self) -> str:
        """Of the prompts in their order, in hexadecimal."""
        text = json.dumps([row.prompt for row in self.rows])
        return hashlib.sha256(text.encode()).hexdigest()

    def limited(self, most: int) -> PromptSet:
        """At most so many of the prompts, in the set's order.

        Categories take turns in their order of appearance, each with its first prompt not yet
        taken; prompts without a category are one more. So a larger `most` adds prompts and drops
        none. Raises ConfigError if `most` is not positive.
        """
        if most < 1:
            raise ConfigError(f"a limit of {most} leaves no prompt; give 1 or more")
        members: dict[str, list[int]] = {}
        for at, row in enumerate(self.rows):
            members.setdefault(row.category, []).append(at)
        turns = (at for turn in zip_longest(*members.values()) for at in turn if at is not None)
        kept = sorted(islice(turns, most))
        return replace(self, rows=tuple(self.rows[at] for at in kept))

    @overload
    def __getitem__(self, index: int) -> PromptRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PromptRow]: ...
    @override
    def __getitem__(self, index: int | slice) -> PromptRow | Sequence[PromptRow]:
        return self.rows[index]

    @override
    def __len__(self) -> int:
        return len(self.rows)


def gathered(name: str, rows: Iterable[PromptRow]) -> PromptSet:
    """A set of the rows; the first of several with one prompt stands for all, with its category.

    Prompts lose white space at their ends, and rows without a prompt are left out. Raises DataError
    if none is left.
    """
    found: dict[str, PromptRow] = {}
    count = 0
    for row in rows:
        if text := row.prompt.strip():
            count += 1
            found.setdefault(text, PromptRow(text, row.category, row.further))
    if not found:
        raise DataError(f"{name} holds no prompt")
    return PromptSet(name, tuple(found.values()), count - len(found))


def part_of(name: str, part: str, rows: Sequence[PromptRow]) -> list[PromptRow]:
    """Rows of one category of a named set; all of them if `part` is "".

    Raises ConfigError for another part.
    """
    categories = list(dict.fromkeys(row.category for row in rows))
    if part and part not in categories:
        raise ConfigError(f"{name} has no part {part!r}; known: {', '.join(categories)}")
    return [row for row in rows if not part or row.category == part]
