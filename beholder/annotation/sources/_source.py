"""What a public data set promises, the books of a pass over it, and the form of its reader."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Literal, final

from beholder.annotation.records.embedding import unpack_picture
from beholder.annotation.sources._cells import LeftOutError, Row
from beholder.annotation.sources._place import Place, open_place
from beholder.errors import AnnotationError, ConfigError, DataError
from beholder.types import Comparison, Feedback

Record = Comparison | Feedback
Counted = Literal["rows", "records", "pairs", "ties"]

_EXAMPLES = 5
MISSING_PICTURE = "missing_picture"


@dataclass(frozen=True, slots=True)
class Published:
    """How many a split is published to have: the card, the paper or the files themselves say so.

    Attributes:
        of: what is counted, as in `Tally`.
        rounded_to: 1 if the count is exact; 1,000 if only thousands were published.
    """

    count: int
    of: Counted = "rows"
    rounded_to: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCard:
    """What is published about a data set.

    Attributes:
        paper: authors, place, and arXiv number.
        repository: where `records` streams from if no place is given, "user/name" on the hub.
        licence: of the annotations, as their card states it.
        kind: whether its records are `Comparison` or `Feedback`.
        splits: the published splits, each with its published counts; none if none is known.
        ties: how a tie comes about, in one sentence.
    """

    name: str
    paper: str
    repository: str
    licence: str
    kind: Literal["comparisons", "feedback"]
    splits: Mapping[str, Sequence[Published]]
    ties: str


@dataclass(slots=True)
class Tally:
    """The books of one pass: what was read, what came out, what was left out and why.

    Attributes:
        rows: rows of the published files; in ImageRewardDB prompts, whose pictures are joined.
        records: records that came out.
        pairs: pairs of pictures that the comparisons compare; `ties` of them are tied.
        left_out: reason -> rows (or single annotations of a row) that gave no record.
        notes: doubt -> records that came out with it.
        examples: reason or doubt -> the first few of them, each by its row.
    """

    rows: int = 0
    records: int = 0
    pairs: int = 0
    ties: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, row: int, error: DataError) -> None:
        """Count a row that gives no record."""
        reason = error.reason if isinstance(error, LeftOutError) else "the record is not valid"
        self.left_out[reason] += 1
        self._example(reason, row, str(error))

    def note(self, row: int, doubt: str) -> None:
        """Count a record that came out, but not as it should be."""
        self.notes[doubt] += 1
        self._example(doubt, row, doubt)

    def count(self, row: int, record: Record) -> None:
        """Count a record that came out."""
        self.records += 1
        if isinstance(record, Comparison):
            for ranks in record.ranks.values():
                pairs = list(combinations(ranks, 2))
                self.pairs += len(pairs)
                self.ties += sum(a == b for a, b in pairs)
            for flag in record.flags:
                self.note(row, flag)

    def _example(self, what: str, row: int, text: str) -> None:
        examples = self.examples.setdefault(what, [])
        if len(examples) < _EXAMPLES:
            examples.append(f"row {row}: {text}")


@dataclass(frozen=True, slots=True)
class Check:
    """A published count beside the one that was found."""

    of: Counted
    expected: int
    found: int
    rounded_to: int = 1

    @property
    def agrees(self) -> bool:
        """Whether the two are equal as far as the published one was rounded."""
        return abs(self.found - self.expected) < max(self.rounded_to, 1)

    def __str__(self) -> str:
        about = "about " if self.rounded_to > 1 else ""
        return f"{about}{self.expected:,} {self.of} expected, {self.found:,} found"


def check_counts(card: SourceCard, split: str, tally: Tally) -> list[Check]:
    """Every published count of a split beside a whole pass over its files; none if none is known.

    In the unit "pairs" only what came out is counted, so a row left out shows up here too.
    """
    return [
        Check(p.of, p.count, int(getattr(tally, p.of)), p.rounded_to) for p in card.splits[split]
    ]


@dataclass(frozen=True, slots=True)
class Reading:
    """One pass over one split: where its files lie, and its books."""

    place: Place
    split: str
    tally: Tally

    def missing(self, images: Sequence[str]) -> frozenset[str]:
        """The flag of a comparison whose pictures should be files here, but one is none."""
        return frozenset({MISSING_PICTURE} if any(map(self.place.lacks, images)) else ())


class Source(ABC):
    """A public data set; its fields are the options of its reader."""

    @property
    @abstractmethod
    def card(self) -> SourceCard:
        """What is published about it."""

    @abstractmethod
    def rows(self, reading: Reading) -> Iterator[object]:
        """The cells of each row of a split, or LeftOutError where they cannot be read.

        Raises AnnotationError if a file is missing or damaged.
        """

    @abstractmethod
    def read(self, row: Row, reading: Reading) -> Iterable[Record]:
        """The records of a row; LeftOutError if it has none."""

    @final
    def records(
        self, place: str | Path | None = None, split: str = "test", tally: Tally | None = None
    ) -> Iterator[Record]:
        """The records of a split, streamed: no more than a few rows are in memory.

        A row that cannot be used is counted in `tally` and kept out; it never ends the stream.

        Args:
            place: a folder with the published files, or another hub repository "user/name" that
                holds them; None streams the published repository.
            split: one of `card.splits`.
            tally: keeps the books; complete once the stream is at its end.

        Raises:
            ConfigError: if there is no such split.
            AnnotationError: if a file is missing or damaged; it names the file and the place in it.
        """
        if split not in self.card.splits:
            known = ", ".join(self.card.splits)
            raise ConfigError(f"{self.card.name} has no split {split!r}; expected one of {known}")
        where = open_place(place, self.card.repository)
        return self._records(Reading(where, split, Tally() if tally is None else tally))

    @final
    def comparison(
        self,
        row: Row,
        images: Sequence[str],
        ranks: Sequence[int],
        *,
        reading: Reading,
        prompt: str,
        annotator: str = "unknown",
        flags: frozenset[str] = frozenset(),
    ) -> Comparison:
        """One annotator's overall ranking of a row's pictures, with a key that names the row."""
        return Comparison(
            key=f"{self.card.name}/{reading.split}/{row.at}",
            prompt=prompt,
            images=tuple(images),
            ranks={"overall": tuple(ranks)},
            annotator=annotator,
            source=self.card.name,
            flags=flags,
        )

    def _records(self, reading: Reading) -> Iterator[Record]:
        for number, cells in enumerate(self.rows(reading), 1):
            reading.tally.rows += 1
            try:
                records = list(self.read(Row.of(number, cells), reading))
            except DataError as error:
                reading.tally.leave_out(number, error)
                continue
            for record in records:
                reading.tally.count(number, record)
                yield record


def opaque(data_set: str, person: object) -> str:
    """An id of an annotator that is the same in every row and does not give the published one."""
    digest = hashlib.sha256(f"{data_set}/{person}".encode()).hexdigest()
    return f"annotator-{digest[:12]}"


def unpacked(data: bytes, name: str, folder: Path) -> str:
    """The path of a picture that travelled inside a row, written below `folder` by its content.

    Raises AnnotationError if the folder cannot be written.
    """
    try:
        return unpack_picture({"bytes": data, "path": name}, folder)
    except DataError as error:
        raise AnnotationError(str(error)) from error
