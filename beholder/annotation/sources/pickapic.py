"""Pick-a-Pic: pairs judged by the users of a web application (Kirstain et al., NeurIPS 2023)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from typing_extensions import override

from beholder.annotation.sources._cells import LeftOutError, Row
from beholder.annotation.sources._place import Place, parquet_rows
from beholder.annotation.sources._source import (
    Published,
    Reading,
    Source,
    SourceCard,
    opaque,
    unpacked,
)
from beholder.errors import ConfigError
from beholder.types import Comparison

_COLUMNS = (
    *("caption", "image_0_uid", "image_1_uid", "label_0", "label_1"),
    *("has_label", "user_id"),
)
_PICTURES = ("jpg_0", "jpg_1")
_RANKS = {(1.0, 0.0): (1, 2), (0.5, 0.5): (1, 1), (0.0, 1.0): (2, 1)}
_ROWS = {
    "v1": {"train": 583_747, "validation": 17_439, "test": 14_073},
    "v2": {"train": 959_040, "validation": 20_596, "test": 20_716},
}
_UNIQUE = {"validation_unique": 500, "test_unique": 500}  # one pair for each of their prompts
_NO_PICTURE = "no picture inside the row; its uid stands in"


@final
@dataclass(frozen=True, kw_only=True)
class PickAPic(Source):
    """The reader of Pick-a-Pic.

    Attributes:
        version: "v1" or "v2".
        pictures: where the pictures that travel inside the rows are written, named by their
            content. Without it a picture is named by its uid and its bytes are not even read,
            so the annotations of the 190 GB of v1 cost some 200 MB.
    """

    version: str = "v2"
    pictures: str | Path | None = None

    def __post_init__(self) -> None:
        if self.version not in _ROWS:
            raise ConfigError(f"Pick-a-Pic has no version {self.version!r}; expected v1 or v2")

    @property
    @override
    def card(self) -> SourceCard:
        """Counts are of rows, with and without a label."""
        rows = {**_ROWS[self.version], **_UNIQUE}
        return SourceCard(
            name=f"pickapic-{self.version}",
            paper="Kirstain et al., NeurIPS 2023, arXiv:2305.01569",
            repository=f"yuvalkirstain/pickapic_{self.version}",
            licence="not stated",
            kind="comparisons",
            splits={split: [Published(count)] for split, count in rows.items()},
            ties="Labels of 0.5 and 0.5 are a tie; rows without a label are left out.",
        )

    @override
    def rows(self, reading: Reading) -> Iterator[object]:
        return _rows(reading.place, reading.split, self.pictures)

    @override
    def read(self, row: Row, reading: Reading) -> Iterable[Comparison]:
        if row.cells.get("has_label") is False:
            raise LeftOutError("the pair has no label")
        labels = row.number("label_0"), row.number("label_1")
        if labels not in _RANKS:
            raise LeftOutError("the labels are not 1 and 0, 0 and 1, or 0.5 and 0.5", str(labels))
        prompt, uids = row.text("caption"), [row.text(f"image_{side}_uid") for side in (0, 1)]
        images = [self._picture(side, uid, row, reading) for side, uid in enumerate(uids)]
        person = row.cells.get("user_id")
        yield self.comparison(
            row,
            images,
            _RANKS[labels],
            reading=reading,
            prompt=prompt,
            annotator="unknown" if person is None else opaque("pickapic", person),
        )

    def _picture(self, side: int, uid: str, row: Row, reading: Reading) -> str:
        if self.pictures is None:
            return uid
        picture = _unpacked(row.cells, side, uid, self.pictures)
        if picture is None:
            reading.tally.note(row.at, _NO_PICTURE)
        return picture or uid


def look_up(
    place: Place, split: str, uids: Collection[str], pictures: str | Path | None
) -> dict[str, tuple[str, str | None]]:
    """Prompt and, written below `pictures`, file of each picture of those `uids`, by uid.

    A uid that the split does not hold is absent; without `pictures` no picture's bytes are read.
    """
    found: dict[str, tuple[str, str | None]] = {}
    for cells in _rows(place, split, pictures):
        for side in (0, 1):
            uid, prompt = str(cells.get(f"image_{side}_uid")), cells.get("caption")
            if uid in uids and uid not in found and isinstance(prompt, str):
                found[uid] = prompt, _unpacked(cells, side, uid, pictures)
    return found


def _rows(place: Place, split: str, pictures: str | Path | None) -> Iterator[dict[str, Any]]:
    name = f"{split}-*.parquet"
    columns = _COLUMNS if pictures is None else (*_COLUMNS, *_PICTURES)
    return parquet_rows(place, place.find(f"data/{name}", name), columns)


def _unpacked(
    cells: Mapping[str, object], side: int, uid: str, pictures: str | Path | None
) -> str | None:
    data = cells.get(f"jpg_{side}")
    if pictures is None or not isinstance(data, bytes) or not data:
        return None
    return unpacked(data, f"{uid}.jpg", Path(pictures))
