"""Rows of records: where their pictures are, and how they are named."""

import pytest

from beholder._inputs.manifest_rows import manifest_rows, named_columns, uncounted_rows
from beholder._inputs.records import Records
from beholder._inputs.rows import Row
from beholder.errors import DataError, ImageError
from beholder.storage import Place


def records(*given: dict[str, object]) -> Records:
    return Records(list(given[0]), lambda: iter(map(dict, given)), lambda: len(given))


@pytest.mark.parametrize(
    ("path", "key", "where"),
    [
        ("a.png", "a.png", "/data/a.png"),
        ("x/a.png", "x/a.png", "/data/x/a.png"),
        ("./x//a.png", "x/a.png", "/data/x/a.png"),
        ("x/../a.png", "x/../a.png", "/data/a.png"),
        ("../a.png", "../a.png", "/a.png"),
        ("/else/a.png", "/else/a.png", "/else/a.png"),
        ("x/.hidden.png", "x/.hidden.png", "/data/x/.hidden.png"),
        ("a b#1.png", "a b#1.png", "/data/a b#1.png"),
    ],
)
def test_paths_are_keys_and_are_found_from_the_manifest(path: str, key: str, where: str) -> None:
    (row,) = manifest_rows(records({"image": path}), Place("/data"), "m")
    assert (row.key, row.image, row.name) == (key, where, where)
    (row,) = manifest_rows(records({"image": {"path": path, "bytes": None}}), Place("/data"), "m")
    assert (row.key, row.image) == (key, where)


@pytest.mark.parametrize("root", ["hf://datasets/a/b", "https://here.example/x", "memory://x"])
def test_no_list_sends_us_to_another_host(root: str) -> None:
    for address in ("http://169.254.169.254/a.png", "ftp://x/a.png", "https://here.example.evil/a"):
        (row,) = uncounted(address, root)
        assert isinstance(row.image, ImageError)
        assert row.image.code == "unreadable"
        assert "another host than its list" in str(row.image)
        assert row.name == address


def test_pictures_in_stores_and_beside_their_list_are_fetched() -> None:
    given = {
        "s3://other/a.png": "hf://datasets/a/b",
        "https://here.example/y/a.png": "https://here.example/x",
    }
    for address, root in given.items():
        (row,) = uncounted(address, root)
        assert row.image == address
    (row,) = uncounted("b/a.png", "https://here.example/x")
    assert row.image == "https://here.example/x/b/a.png"


def uncounted(image: str, root: str) -> list[Row]:
    given = records({"image": image})
    named = named_columns(given.columns, "m")
    return [row for row, _ in uncounted_rows(given, named, Place(root), "m")]


def test_numbers_of_rows_go_on_from_those_before() -> None:
    rows = manifest_rows(records({"image": b"x"}, {"image": b"y"}), Place("/"), "m", before=7)
    assert [(row.key, row.name) for row in rows] == [("row 7", "m#7"), ("row 8", "m#8")]


def test_paths_are_told_from_keys_and_are_not_counted_here() -> None:
    given = records({"image": "a", "key": None}, {"image": "a", "key": "k"}, {"image": "a"})
    named = named_columns(given.columns, "m")
    found = [(row.key, is_path) for row, is_path in uncounted_rows(given, named, Place("/"), "m")]
    assert found == [("a", True), ("k", False), ("a", True)]


def test_bytes_are_no_further_columns() -> None:
    record = {"image": "a", "mask": b"x", "more": {"deep": b"x"}, "seed": 1, "tags": ["x"]}
    (row,) = manifest_rows(records(record), Place("/"), "m")
    assert row.extra == {"seed": 1, "tags": ["x"]}


def test_a_picture_column_is_needed() -> None:
    with pytest.raises(DataError, match="m has no picture column; it has a, b, expected one of"):
        named_columns(["a", "b"], "m")
