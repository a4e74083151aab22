"""Lists keep rows as they are, without their pictures."""

import os
from itertools import repeat
from pathlib import Path

import pyarrow.parquet as pq

from beholder._inputs.rows import Row
from beholder._plan.lists import read_list, write_lists
from beholder.errors import ImageError
from beholder.storage import Place

ROWS = [
    Row(key="a", image="/x/a.png", prompt="fox", name="/x/a.png"),
    Row(key=os.fsdecode(b"\xff"), image=b"12345", prompt="\udcff", name="/x/\udcff.tar/a"),
    Row(
        key="é\n", image=None, prompt=None, name="m.csv#2", extra={"n": [1, {"a": None}], "x": 0.1}
    ),
]


def test_rows_come_back_with_where_their_pictures_are(tmp_path: Path) -> None:
    shards = list(write_lists(ROWS, Place(tmp_path), repeat(2)))
    found = [row for shard in shards for row in read_list(shard)]
    assert [(r.key, r.prompt, r.name, r.extra) for r in found] == [
        (r.key, r.prompt, r.name, r.extra) for r in ROWS
    ]
    assert [r.image for r in found] == [ROWS[0].name, ROWS[1].name, None]
    assert [(s.name, s.rows) for s in shards] == [("part-0000000", 2), ("part-0000001", 1)]


def test_an_address_that_must_not_be_fetched_is_not_fetched_later(tmp_path: Path) -> None:
    address = "http://169.254.169.254/a.png"
    refused = Row(key="a", image=ImageError("unreadable", "far"), prompt="fox", name=address)
    (shard,) = write_lists([refused], Place(tmp_path), [1])
    (found,) = read_list(shard)
    assert found.image is None


def test_a_list_holds_no_picture_and_its_mark_is_of_its_contents(tmp_path: Path) -> None:
    (shard,) = write_lists(ROWS, Place(tmp_path / "a"), [9])
    (again,) = write_lists(ROWS, Place(tmp_path / "b"), [9])
    (other,) = write_lists(ROWS[:2], Place(tmp_path / "c"), [9])
    assert (shard.size, shard.mark) == (again.size, again.mark)
    assert shard.mark != other.mark
    assert b"12345" not in Path(shard.source).read_bytes()
    assert pq.read_table(shard.source).num_rows == 3


def test_a_list_is_never_written_over_by_another_and_a_damaged_one_is(tmp_path: Path) -> None:
    (first,) = write_lists(ROWS, Place(tmp_path), [9])
    (other,) = write_lists(ROWS[:1], Place(tmp_path), [9])
    assert (first.name, first.source != other.source) == (other.name, True)
    assert [row.key for row in read_list(first)] == [row.key for row in ROWS]
    Path(first.source).write_bytes(b"PAR1")
    (again,) = write_lists(ROWS, Place(tmp_path), [9])
    assert again == first
    assert len(list(read_list(again))) == 3


def test_lists_have_the_sizes_that_are_asked_for(tmp_path: Path) -> None:
    assert [s.rows for s in write_lists(ROWS, Place(tmp_path), [1, 9, 9])] == [1, 2]
