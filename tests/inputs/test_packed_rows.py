"""Archives are opened when their turn comes, and all of them are one source."""

import itertools
from pathlib import Path

import pytest

from beholder._inputs.archives import packed_members
from beholder._inputs.packed_rows import packed_count, packed_file, packed_rows
from beholder._inputs.sources import archives
from beholder.errors import DataError
from beholder.inputs import read_inputs
from beholder.storage import Place
from tests.archives import encoded, write_tar


def test_a_source_of_many_archives_begins_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "s-0.tar", {"notes.md": b"no picture"})
    for number in range(1, 5):
        write_tar(tmp_path / f"s-{number}.tar", {"a.png": encoded(number), "a.txt": b"fox"})
    opened: list[str] = []

    def watched(path: Path) -> object:
        opened.append(path.name)
        return packed_members(path)

    monkeypatch.setattr("beholder._inputs.packed_rows.packed_members", watched)
    inputs = read_inputs(tmp_path)
    assert inputs.has_prompts
    assert opened == ["s-0.tar", "s-1.tar"], "until the first picture"
    first = list(itertools.islice(inputs, 2))
    assert [row.key for row in first] == ["s-1.tar/a.png", "s-2.tar/a.png"]
    assert opened == ["s-0.tar", "s-1.tar", "s-2.tar"], "each once"
    assert len(list(inputs)) == 4, "it can be read again"
    assert len(inputs) == 4


def test_an_archive_that_is_damaged_says_so_in_its_turn(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"a.png": encoded(1)})
    (tmp_path / "b.tar").write_bytes(b"none")
    rows = iter(read_inputs(tmp_path))
    assert next(rows).key == "a.tar/a.png"
    with pytest.raises(DataError, match=r"b\.tar is damaged"):
        next(rows)


def test_one_file_is_read_and_counted(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.png": encoded(1), "b.png": encoded(2)})
    assert [member.key for member in packed_file(path)] == ["a.png", "b.png"]
    assert packed_count(path) == 2
    with pytest.raises(DataError, match=r"there is no .*none\.tar"):
        packed_count(tmp_path / "none.tar")
    with pytest.raises(DataError, match="there is no picture in x"):
        packed_rows(archives("x", [Place(write_tar(tmp_path / "c.tar", {}))]))
