import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from beholder.annotation.sources import _json_list
from beholder.annotation.sources._json_list import json_items, json_rows
from beholder.annotation.sources._place import Folder
from beholder.errors import AnnotationError

ITEMS = [
    {"prompt": '狐 " ] } 🦊', "rank": [1, 2.5]},
    17,
    "x",
    None,
    [],
    {},
    {"a": {"b": [True]}},
    4,
]


def items(text: str | bytes) -> list[object]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(json_items(io.BytesIO(data), "x.json"))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 4])
def test_items_equal_those_of_json_wherever_the_file_is_cut(
    chunk: int, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json_list, "_CHUNK", chunk)
    text = json.dumps(ITEMS, ensure_ascii=False, indent=indent)
    assert items(text) == ITEMS
    assert items(b"\xef\xbb\xbf" + text.encode()) == ITEMS


def test_an_empty_list_has_no_items() -> None:
    assert items(" [ ] \n") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1}', "character 1: expected a list"),
        ("", "expected a list"),
        ('[{"a": 1}', "the list ends too early"),
        ('[{"a": 1}, {"a": ', "character 11: not JSON"),
        ('[{"a": 1} {"a": 2}]', "expected , or ]"),
        ('[{"a": 1}] more', "expected nothing after the list"),
        ("[" * 200_000, "not JSON"),
    ],
)
def test_a_damaged_list_says_where(text: str, reason: str) -> None:
    with pytest.raises(AnnotationError, match=rf"x\.json, near .*{reason}"):
        items(text)


def test_bytes_that_are_no_utf8_do_not_end_the_list() -> None:
    assert items(b'[{"a": "\xff"}, {"a": "b"}]') == [{"a": "\udcff"}, {"a": "b"}]


def test_a_file_of_any_length_is_read_in_flat_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json_list, "_CHUNK", 1 << 14)
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"prompt": "a fox " * 100}] * 5_000))
    assert path.stat().st_size > 3_000_000
    tracemalloc.start()
    with path.open("rb") as file:
        assert sum(1 for _ in json_items(file, "x.json")) == 5_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000


def test_several_files_are_one_stream_and_the_damaged_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2]")
    (tmp_path / "b.json").write_text("[3, ")
    rows: Iterator[object] = json_rows(Folder(tmp_path), ["a.json", "b.json"])
    assert [next(rows) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(AnnotationError, match=r"/b\.json, near character"):
        next(rows)
