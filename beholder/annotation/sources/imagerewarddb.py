"""ImageRewardDB: rankings of four to nine pictures by experts (Xu et al., NeurIPS 2023).

A folder holds, as published, metadata-<split>.parquet beside images/, or only the JSON lists of
images/<split>/, or the test.json of the code's repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from typing_extensions import override

from beholder.annotation.sources._cells import Row, competition_ranks
from beholder.annotation.sources._json_list import json_rows
from beholder.annotation.sources._place import parquet_rows
from beholder.annotation.sources._source import Published, Reading, Source, SourceCard
from beholder.types import Comparison

_COLUMNS = ("prompt_id", "prompt", "image_path", "rank", "image_amount_in_total")
_INCOMPLETE = "fewer pictures than the prompt is said to have"


@final
@dataclass(frozen=True, kw_only=True)
class ImageRewardDB(Source):
    """The reader of ImageRewardDB: one record for each prompt."""

    @property
    @override
    def card(self) -> SourceCard:
        """831 of the 7,230 pairs of the test split tie, which leaves the 6,399 of the paper."""
        return SourceCard(
            name="imagerewarddb",
            paper="Xu et al., NeurIPS 2023, arXiv:2304.05977",
            repository="THUDM/ImageRewardDB",
            licence="Apache-2.0",
            kind="comparisons",
            splits={
                "train": [Published(8_000), Published(141_100, "pairs", rounded_to=100)],
                "validation": [Published(412), Published(7_320, "pairs", rounded_to=10)],
                "test": [Published(466), Published(7_230, "pairs"), Published(831, "ties")],
            },
            ties="Pictures of equal rank are a tie.",
        )

    @override
    def rows(self, reading: Reading) -> Iterator[object]:
        split = reading.split
        names = reading.place.find(
            f"metadata-{split}.parquet", f"images/{split}/*/*.json", f"{split}.json"
        )
        if names[0].endswith(".parquet"):
            return _prompts(parquet_rows(reading.place, names, _COLUMNS))
        return _prompts(json_rows(reading.place, names))

    @override
    def read(self, row: Row, reading: Reading) -> Iterable[Comparison]:
        row.text("id")
        prompt, ranks = row.text("prompt"), row.numbers("ranking")
        images = [reading.place.picture(p) for p in row.pictures("generations", ranks)]
        if row.cells.get("announced", len(ranks)) != len(ranks):
            reading.tally.note(row.at, _INCOMPLETE)
        yield self.comparison(
            row,
            images,
            competition_ranks(ranks),
            reading=reading,
            prompt=prompt,
            flags=reading.missing(images),
        )


def _prompts(pictures: Iterable[object]) -> Iterator[object]:
    """One row a prompt of rows that are one picture each; other rows pass as they are.

    A prompt is complete, and forgotten, with as many pictures as it is said to have.
    """
    open_prompts: dict[str, dict[str, Any]] = {}
    for cells in pictures:
        if not isinstance(cells, Mapping) or "image_path" not in cells:
            yield cells
            continue
        name = str(cells.get("prompt_id"))
        prompt = open_prompts.setdefault(name, _prompt(cells))
        prompt["generations"].append(cells["image_path"])
        prompt["ranking"].append(cells.get("rank"))
        if len(prompt["ranking"]) == prompt["announced"]:
            yield open_prompts.pop(name)
    yield from open_prompts.values()


def _prompt(cells: Mapping[str, object]) -> dict[str, Any]:
    return {
        "id": cells.get("prompt_id"),
        "prompt": cells.get("prompt"),
        "announced": cells.get("image_amount_in_total"),
        "generations": [],
        "ranking": [],
    }
