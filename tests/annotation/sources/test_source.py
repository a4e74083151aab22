from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from beholder.annotation.sources._cells import LeftOutError, Row
from beholder.annotation.sources._source import (
    Check,
    Published,
    Reading,
    Record,
    Source,
    SourceCard,
    Tally,
    check_counts,
    opaque,
    unpacked,
)
from beholder.errors import AnnotationError, ConfigError
from beholder.types import Feedback

CARD = SourceCard(
    name="toy",
    paper="",
    repository="user/toy",
    licence="",
    kind="comparisons",
    splits={"train": [], "test": [Published(5), Published(8, "pairs"), Published(2, "ties")]},
    ties="",
)
RANKINGS: list[object] = [[1, 2, 2], [3, 1, 1, 2], "damaged", [1], LeftOutError("torn")]


class Toy(Source):
    """Rankings; a ranking of one is left out, text is no row."""

    @property
    def card(self) -> SourceCard:
        return CARD

    def rows(self, reading: Reading) -> Iterator[object]:
        for ranks in RANKINGS:
            yield {"prompt": "a fox", "ranks": ranks} if isinstance(ranks, list) else ranks

    def read(self, row: Row, reading: Reading) -> Iterable[Record]:
        ranks = [int(rank) for rank in row.numbers("ranks")]
        images = [f"{i}.png" for i in range(len(ranks))]
        yield self.comparison(
            row,
            images,
            ranks,
            reading=reading,
            prompt="a fox",
            flags=reading.missing(images),
            annotator="x",
        )


def test_every_row_is_counted_and_a_bad_one_never_ends_the_stream(tmp_path: Path) -> None:
    tally = Tally()
    records = list(Toy().records(tmp_path, "test", tally))
    assert [r.key for r in records] == ["toy/test/1", "toy/test/2"]
    assert (tally.rows, tally.records) == (5, 2)
    assert (tally.pairs, tally.ties) == (3 + 6, 1 + 1)
    assert tally.left_out == {
        "the row is no object": 1,
        "the record is not valid": 1,
        "torn": 1,
    }
    assert tally.examples["the row is no object"] == ["row 3: the row is no object: 'damaged'"]
    assert tally.rows == tally.records + tally.left_out.total()


def test_a_missing_picture_is_a_flag_and_a_note(tmp_path: Path) -> None:
    (tmp_path / "0.png").touch()
    tally = Tally()
    records = list(Toy().records(tmp_path, "test", tally))
    assert all(not isinstance(r, Feedback) and r.flags == {"missing_picture"} for r in records)
    assert tally.notes == {"missing_picture": 2}


def test_only_the_first_examples_are_kept(tmp_path: Path) -> None:
    tally = Tally()
    for row in range(100):
        tally.leave_out(row, LeftOutError("torn"))
    assert tally.left_out == {"torn": 100}
    assert len(tally.examples["torn"]) == 5


def test_an_unknown_split_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="toy has no split 'dev'; expected one of train, test"):
        Toy().records(tmp_path, "dev")
    with pytest.raises(AnnotationError, match="there is no folder"):
        Toy().records(tmp_path / "gone", "test")


def test_published_counts_are_held_against_the_tally(tmp_path: Path) -> None:
    tally = Tally()
    list(Toy().records(tmp_path, "test", tally))
    rows, pairs, ties = check_counts(CARD, "test", tally)
    assert rows.agrees
    assert ties.agrees
    assert not pairs.agrees
    assert str(pairs) == "8 pairs expected, 9 found"
    assert check_counts(CARD, "train", tally) == []


def test_a_rounded_count_agrees_as_far_as_it_was_published() -> None:
    assert Check("pairs", 645_000, 645_090, rounded_to=1000).agrees
    assert Check("pairs", 645_000, 644_500, rounded_to=1000).agrees
    assert not Check("pairs", 645_000, 646_000, rounded_to=1000).agrees
    assert not Check("rows", 15_810, 15_809).agrees
    text = str(Check("pairs", 645_000, 645_090, rounded_to=1000))
    assert text == "about 645,000 pairs expected, 645,090 found"


def test_an_annotator_keeps_one_opaque_id_within_a_data_set() -> None:
    assert opaque("a", 7) == opaque("a", "7") != opaque("b", 7)
    assert "someone" not in opaque("a", "someone@example.org")


def test_pictures_are_unpacked_by_their_content(tmp_path: Path) -> None:
    first, again = (unpacked(b"x", name, tmp_path) for name in ("a.jpg", "b.jpg"))
    assert first == again
    assert Path(first).read_bytes() == b"x"
    assert Path(first).suffix == ".jpg"
    (tmp_path / "file").touch()
    with pytest.raises(AnnotationError, match="cannot unpack a picture"):
        unpacked(b"x", "a.jpg", tmp_path / "file")
