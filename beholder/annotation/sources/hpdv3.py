"""Human Preference Dataset v3: pairs, each with how its annotators chose (Ma et al., ICCV 2025).

A folder is laid out as published: train.json and test.json beside images/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from beholder.annotation.sources._cells import LeftOutError, Row
from beholder.annotation.sources._json_list import json_rows
from beholder.annotation.sources._source import Reading, Source, SourceCard
from beholder.errors import ConfigError
from beholder.types import Comparison


@final
@dataclass(frozen=True, kw_only=True)
class HPDv3(Source):
    """The reader of HPDv3.

    Attributes:
        tied_threshold: a pair ties if the two shares of its annotators, `choice_dist`, differ by
            no more than this, in [0, 1]; None lets none tie. A pair without shares never does.
        min_confidence: pairs whose `confidence` is lower are left out, in [0, 1]; pairs without
            one stay. The published training uses 0.95.
    """

    tied_threshold: float | None = None
    min_confidence: float | None = None

    def __post_init__(self) -> None:
        for name in ("tied_threshold", "min_confidence"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}, expected a number in [0, 1]")

    @property
    @override
    def card(self) -> SourceCard:
        """1.17 million pairs are published, but not how many each split has."""
        return SourceCard(
            name="hpdv3",
            paper="Ma et al., ICCV 2025, arXiv:2508.03789",
            repository="MizzenAI/HPDv3",
            licence="MIT",
            kind="comparisons",
            splits={"train": [], "test": []},
            ties="path1 is preferred to path2, unless choice_dist lies within tied_threshold.",
        )

    @override
    def rows(self, reading: Reading) -> Iterator[object]:
        return json_rows(reading.place, reading.place.find(f"{reading.split}.json"))

    @override
    def read(self, row: Row, reading: Reading) -> Iterable[Comparison]:
        self._check_confidence(row)
        images = [reading.place.picture(row.text(side)) for side in ("path1", "path2")]
        ranks = (1, 1) if self._is_tie(row) else (1, 2)
        yield self.comparison(
            row,
            images,
            ranks,
            reading=reading,
            prompt=row.text("prompt"),
            flags=reading.missing(images),
        )

    def _check_confidence(self, row: Row) -> None:
        if self.min_confidence is None or row.cells.get("confidence") is None:
            return
        if (confidence := row.number("confidence")) < self.min_confidence:
            raise LeftOutError("the confidence is too low", str(confidence))

    def _is_tie(self, row: Row) -> bool:
        if self.tied_threshold is None or row.cells.get("choice_dist") is None:
            return False
        shares = row.numbers("choice_dist")
        if len(shares) != 2 or min(shares) < 0 or sum(shares) <= 0:
            raise LeftOutError("choice_dist is no pair of shares", str(shares))
        return abs(shares[0] - shares[1]) / sum(shares) <= self.tied_threshold
