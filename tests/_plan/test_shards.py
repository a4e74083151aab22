"""Archives are known by their listing alone."""

import os
from pathlib import Path

import pytest

from beholder._inputs.sources import Archives, classified
from beholder._plan.shards import archive_shards, shards_of
from beholder.storage import Place


def archives(source: str | Path) -> Archives:
    found = classified(source)
    assert isinstance(found, Archives)
    return found


def test_no_archive_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.tar", "b.tar", "deep/a.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no archive")
        os.utime(tmp_path / name, ns=(1, 5))

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Place, "open", never)
    monkeypatch.setattr(Path, "open", never)
    shards = list(shards_of(classified(tmp_path), Place(tmp_path / "lists"), None, 10))
    assert [(s.name, s.prefix) for s in shards] == [
        ("a", "a.tar/"),
        ("b", "b.tar/"),
        ("deep-a", "deep/a.tar/"),
    ]
    assert {(s.kind, s.size, s.mark, s.rows) for s in shards} == {("archive", 10, "5", None)}
    (alone,) = archive_shards(archives(tmp_path / "deep/a.tar"))
    assert (alone.name, alone.prefix, alone.source) == ("a", "", str(tmp_path / "deep/a.tar"))


def test_the_stamps_of_remote_archives_come_from_one_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Place(f"memory://{tmp_path.name}")
    for number in range(3):
        (folder / f"s-{number}.tar").write(bytes(number))
    stamps = [(folder / f"s-{number}.tar").stamp() for number in range(3)]

    def never(place: Place) -> None:
        raise AssertionError

    monkeypatch.setattr(Place, "stamp", never)
    for source in (f"{folder}/s-{{0..2}}.tar", f"{folder}/s-*.tar", str(folder)):
        shards = list(archive_shards(archives(source)))
        assert [s.source for s in shards] == [str(folder / f"s-{n}.tar") for n in range(3)]
        assert [(s.size, s.mark) for s in shards] == [(t.size, t.mark) for t in stamps]
