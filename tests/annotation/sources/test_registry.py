"""What every public data set promises, whatever its format."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from beholder.annotation.sources import Source, Tally, _place, load, names
from beholder.errors import AnnotationError, ConfigError
from beholder.types import Comparison, Feedback
from tests.annotation.sources.published import (
    frame,
    picked,
    rich,
    write_json,
    write_parquet,
    write_tfrecord,
)

NINE = {"image_path": [f"{i}.jpg" for i in range(9)], "rank": list(range(9))}
PROMPT = {"id": "1", "prompt": "a fox", "generations": ["a", "b"], "ranking": [1, 2]}
PAIR = {"prompt": "a fox", "path1": "a", "path2": "b"}


def rich_with_one_damaged(folder: Path) -> None:
    path = write_tfrecord(folder / "test.tfrecord", [rich("x"), rich("y")])
    path.write_bytes(path.read_bytes() + frame(b"junk"))


MADE: dict[str, Callable[[Path], Any]] = {
    "hpdv2": lambda f: write_json(f / "test.json", [{"prompt": "a fox", **NINE}] * 2 + ["junk"]),
    "hpdv3": lambda f: write_json(f / "test.json", [PAIR, PAIR, "junk"]),
    "imagerewarddb": lambda f: write_json(f / "test.json", [PROMPT, PROMPT, "junk"]),
    "pickapic": lambda f: write_parquet(
        f / "data/test-0-of-1.parquet", [picked(), picked(), picked(9.0, 9.0)]
    ),
    "richhf18k": rich_with_one_damaged,
}
"""Name -> makes a published folder with two good rows and a malformed one, in the split "test"."""


def test_every_data_set_is_published_but_the_one_that_is_made_here() -> None:
    assert names() == sorted([*MADE, "scenes"])


@pytest.fixture(params=MADE)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    folder = tmp_path / "datasets" / "user" / "mirror"
    folder.mkdir(parents=True)
    MADE[request.param](folder)
    return load(request.param)


def keys(source: Source, place: str | Path, tally: Tally) -> list[str]:
    return [record.key for record in source.records(place, "test", tally)]


def test_a_malformed_row_is_counted_and_named_and_the_others_come_out(
    source: Source, tmp_path: Path
) -> None:
    tally = Tally()
    found = keys(source, tmp_path / "datasets/user/mirror", tally)
    assert len(set(found)) == 2
    assert all(key.startswith(f"{source.card.name}/") for key in found)
    assert (tally.rows, tally.records, tally.left_out.total()) == (3, 2, 1)
    assert sum(len(examples) for examples in tally.examples.values()) >= 1


def test_the_hub_streams_the_same_records_as_a_folder(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = DirFileSystem(path=str(tmp_path), fs=LocalFileSystem())
    monkeypatch.setattr(_place, "_hub", lambda: fake)
    here, there = Tally(), Tally()
    folder = tmp_path / "datasets/user/mirror"
    assert keys(source, "user/mirror", there) == keys(source, folder, here)
    assert there.left_out == here.left_out


def test_the_published_repository_is_read_if_no_place_is_given(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "datasets" / source.card.repository
    published.parent.mkdir(exist_ok=True)
    (tmp_path / "datasets/user/mirror").rename(published)
    fake = DirFileSystem(path=str(tmp_path), fs=LocalFileSystem())
    monkeypatch.setattr(_place, "_hub", lambda: fake)
    assert len(list(source.records())) == 2


def test_records_stream_and_can_be_left_early(source: Source, tmp_path: Path) -> None:
    tally = Tally()
    stream = source.records(tmp_path / "datasets/user/mirror", "test", tally)
    assert len(list(islice(stream, 1))) == 1
    assert tally.rows == 1


def test_the_card_says_what_comes_out(source: Source, tmp_path: Path) -> None:
    card = source.card
    kind = {"comparisons": Comparison, "feedback": Feedback}[card.kind]
    assert all(isinstance(r, kind) for r in source.records(tmp_path / "datasets/user/mirror"))
    assert {"train", "test"} <= card.splits.keys()
    assert card.repository.count("/") == 1
    assert all((card.name, card.paper, card.licence, card.ties.endswith(".")))


def test_an_empty_folder_names_the_files_that_it_lacks(source: Source, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"holds no .*test"):
        list(source.records(tmp_path / "datasets", "test"))
    with pytest.raises(ConfigError, match="has no split 'tset'"):
        source.records(tmp_path, "tset")


def test_a_wrong_name_or_option_is_told_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="no public data set named 'hpd2'; did you mean 'hpdv2'"):
        load("hpd2")
    with pytest.raises(ConfigError, match="known: hpdv2, hpdv3, imagerewarddb, pickapic, richhf"):
        load("zzz")
    with pytest.raises(ConfigError, match="'hpdv2' has no option 'row'; known: raw"):
        load("hpdv2", row=True)
    with pytest.raises(ConfigError, match="'imagerewarddb' has no option 'x'; it has none"):
        load("imagerewarddb", x=1)


@pytest.mark.parametrize(
    ("name", "option", "value", "kind"),
    [
        ("hpdv2", "raw", "yes", "bool"),
        ("hpdv2", "raw", 1, "bool"),
        ("hpdv3", "tied_threshold", "low", r"float \| None"),
        ("hpdv3", "tied_threshold", True, r"float \| None"),
        ("pickapic", "version", 1, "str"),
    ],
)
def test_an_option_of_another_type_is_told(
    name: str, option: str, value: object, kind: str
) -> None:
    with pytest.raises(ConfigError, match=f"option '{option}' of '{name}' is .*, expected {kind}"):
        load(name, **{option: value})


def test_a_whole_number_is_a_number() -> None:
    assert load("hpdv3", tied_threshold=0) == load("hpdv3", tied_threshold=0.0)
