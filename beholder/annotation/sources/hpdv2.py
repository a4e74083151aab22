"""Human Preference Dataset v2: pairs to train, rankings of nine pictures to test (Wu et al., 2023).

A folder is laid out as published: train.json and test.json beside train/ and test/ of pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from beholder.annotation.sources._cells import LeftOutError, Row, competition_ranks
from beholder.annotation.sources._json_list import json_rows
from beholder.annotation.sources._source import Published, Reading, Source, SourceCard, opaque
from beholder.types import Comparison

_NAME = "hpdv2"


@final
@dataclass(frozen=True, kw_only=True)
class HPDv2(Source):
    """The reader of HPDv2.

    Attributes:
        raw: the test split as one record for each annotator of a prompt, who share its key, so
            that agreement can be measured; else as one record a prompt, with the averaged ranks.
    """

    raw: bool = False

    @property
    @override
    def card(self) -> SourceCard:
        """The test split's 153,000 published pairs are those of the raw annotations."""
        raw = [Published(153_000, "pairs")] if self.raw else []
        return SourceCard(
            name=_NAME,
            paper="Wu et al., 2023, arXiv:2306.09341",
            repository="ymhao/HPDv2",
            licence="Apache-2.0",
            kind="comparisons",
            splits={
                "train": [Published(645_000, "pairs", rounded_to=1000)],
                "test": [Published(400), *raw],
            },
            ties="Equal averaged ranks of the test split are a tie; the train split has none.",
        )

    @override
    def rows(self, reading: Reading) -> Iterator[object]:
        return json_rows(reading.place, reading.place.find(f"{reading.split}.json"))

    @override
    def read(self, row: Row, reading: Reading) -> Iterable[Comparison]:
        if reading.split == "train":
            return [self._pair(row, reading)]
        if self.raw:
            return self._annotations(row, reading)
        return [self._ranking(row, row, reading)]

    def _pair(self, row: Row, reading: Reading) -> Comparison:
        wins = row.numbers("human_preference")
        if sorted(wins) != [0, 1]:
            raise LeftOutError("human_preference does not name one winner", str(wins))
        images = _pictures(row.pictures("file_path", wins), reading)
        person = row.cells.get("user_hash")
        return self.comparison(
            row,
            images,
            (1, 2) if wins[0] else (2, 1),
            reading=reading,
            prompt=row.text("prompt"),
            annotator=opaque(_NAME, person) if person else "unknown",
            flags=reading.missing(images),
        )

    def _annotations(self, row: Row, reading: Reading) -> Iterator[Comparison]:
        for cells in row.items("raw_annotations"):
            try:
                answer = Row.of(row.at, cells)
                person = answer.text("user_hash")
                yield self._ranking(row, answer, reading, opaque(_NAME, person))
            except LeftOutError as error:  # the other annotators of the prompt still count
                reading.tally.leave_out(row.at, error)

    def _ranking(
        self, row: Row, answer: Row, reading: Reading, annotator: str = "unknown"
    ) -> Comparison:
        values = answer.numbers("rank")
        images = _pictures(row.pictures("image_path", values), reading)
        return self.comparison(
            row,
            images,
            competition_ranks(values),
            reading=reading,
            prompt=row.text("prompt"),
            annotator=annotator,
            flags=reading.missing(images),
        )


def _pictures(names: Sequence[str], reading: Reading) -> list[str]:
    folder = f"{reading.split}/"
    return [reading.place.picture(folder + name.removeprefix(folder)) for name in names]
