"""A snapshot changes with what a listing tells of a source, and with nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from beholder._inputs.sources import classified
from beholder._plan.snapshot import Snapshot, is_costly, snapshot
from beholder.errors import DataError
from beholder.storage import Place
from tests._plan.sources import embedded, lines, one_zip, pattern, pictures, saved, tars
from tests.archives import encoded


def taken(source: str, *, has_own_prompts: bool = True) -> Snapshot:
    return snapshot(classified(source), has_own_prompts=has_own_prompts)


@pytest.mark.parametrize("source", [pictures, pattern, tars, one_zip, embedded, lines, saved])
def test_it_stays_the_same_until_a_time_changes(
    tmp_path: Path, source: Callable[[Path], str]
) -> None:
    address = source(tmp_path)
    first = taken(address)
    assert taken(address) == first
    kinds = (".png", ".tar", ".zip", ".parquet", ".jsonl", ".arrow")
    files = [p for p in sorted(tmp_path.rglob("*")) if p.suffix in kinds]
    os.utime(files[-1], ns=(1, 1))
    assert taken(address).digest != first.digest
    assert taken(address).files == first.files
    assert is_costly(classified(address)) is (source in (pictures, pattern))


def test_texts_beside_pictures_count_if_they_are_their_prompts(tmp_path: Path) -> None:
    address = pictures(tmp_path)
    with_texts, without = taken(address), taken(address, has_own_prompts=False)
    Path(address, "a.txt").write_text("another")
    assert taken(address) != with_texts
    assert taken(address, has_own_prompts=False) == without


def test_pictures_elsewhere_have_the_stamps_of_their_listing(tmp_path: Path) -> None:
    root = Place(f"memory://{tmp_path.name}-pictures")
    for name in ("a.png", "deep/b.png"):
        (root / name).write(encoded(1))
    first = taken(str(root))
    assert (first.files, taken(str(root))) == (2, first)
    by_pattern = taken(f"{root}/*.png")
    (root / "a.png").write(encoded(2) + b"more")
    assert taken(str(root)).digest != first.digest
    assert taken(f"{root}/*.png") != by_pattern
    assert is_costly(classified(str(root)))


def test_what_cannot_be_asked_is_told_and_a_link_to_nothing_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(1))
    before = taken(str(tmp_path))
    (tmp_path / "b.png").symlink_to(tmp_path / "nothing")
    assert taken(str(tmp_path)) == before
    found = classified(lines(tmp_path))
    (tmp_path / "m.jsonl").unlink()
    with pytest.raises(DataError, match="there is no such file"):
        snapshot(found, has_own_prompts=True)
