import os
from pathlib import Path

import pytest
from PIL import Image

from beholder.annotation.forms import richhf
from beholder.annotation.joining.aggregate import by_votes
from beholder.annotation.reading.label_studio import parse_export, parse_tasks
from beholder.annotation.records.dataset import (
    read_comparisons,
    read_preferences,
    read_ratings,
    write_comparisons,
    write_preferences,
    write_ratings,
)
from beholder.errors import DataError
from beholder.types import Point, Preference
from tests.annotation.samples import comparison, rating, real_ratings, real_tasks


def preference(key: str, first: str, second: str) -> Preference:
    return Preference(key=key, prompt="x", first=first, second=second, p_first={"overall": 1.0})


def pictures(folder: Path, count: int) -> list[str]:
    paths = []
    for n in range(count):
        noise = Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3))
        noise.save(folder / f"{n}.png")
        paths.append(str(folder / f"{n}.png"))
    return paths


def test_the_real_export_survives_the_disk(tmp_path: Path) -> None:
    rows, _ = parse_export(real_tasks())
    write_comparisons(rows, tmp_path / "c")
    write_preferences(by_votes(rows), tmp_path / "p")
    assert read_comparisons(tmp_path / "c") == rows
    assert read_preferences(tmp_path / "p") == by_votes(rows)


def test_unanswered_aspects_own_aspects_and_long_rankings_survive(tmp_path: Path) -> None:
    rows = [
        comparison("k", "x", 1, images=("a", "b", "c"), ranks={"charm": (2, 1, 1)}, seconds=0.1),
        comparison("m", "y", 1, ranks={}, flags=frozenset({"skipped", "partial"})),
    ]
    write_comparisons(rows, tmp_path)
    assert read_comparisons(tmp_path) == rows
    given = Preference(
        key="k", prompt="", first="a", second="b", p_first={"charm": 1 / 3}, votes={"zeal": 2}
    )
    write_preferences([given, preference("m", "a", "b")], tmp_path / "p")
    assert read_preferences(tmp_path / "p") == [given, preference("m", "a", "b")]


def test_nothing_survives_as_nothing(tmp_path: Path) -> None:
    write_comparisons([], tmp_path / "c")
    write_preferences([], tmp_path / "p")
    assert read_comparisons(tmp_path / "c") == []
    assert read_preferences(tmp_path / "p") == []


def test_embedded_pictures_travel_once_and_come_back_as_files(tmp_path: Path) -> None:
    paths = pictures(tmp_path, 2)
    given = [preference(f"k{n}", *paths) for n in range(50)]
    write_preferences(given, tmp_path / "p", embed=True)
    originals = [Path(path).read_bytes() for path in paths]
    shard = tmp_path / "p" / "data" / "train-00000-of-00001.parquet"
    assert shard.stat().st_size < 1.2 * sum(map(len, originals)) + 10_000
    for path in paths:
        Path(path).unlink()
    found = read_preferences(tmp_path / "p")
    assert [p.p_first for p in found] == [p.p_first for p in given]
    assert {p.first for p in found} == {found[0].first}
    assert [Path(p).read_bytes() for p in (found[0].first, found[0].second)] == originals
    assert len(list((tmp_path / "p" / "pictures").iterdir())) == 2


def test_the_datasets_library_opens_both_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows, _ = parse_export(real_tasks())
    write_comparisons(rows, tmp_path / "c")
    write_preferences([preference("k", *pictures(tmp_path, 2))], tmp_path / "p", embed=True)
    cache = str(tmp_path / "cache")
    judged = datasets.load_dataset(str(tmp_path / "c"), split="train", cache_dir=cache)
    assert judged[0]["ranks_alignment"] == [2, 1]
    paired = datasets.load_dataset(str(tmp_path / "p"), split="train", cache_dir=cache)
    assert isinstance(paired.features["first"], datasets.Image)
    assert paired[0]["first"].size == (64, 64)


def test_one_kind_is_not_taken_for_the_other(tmp_path: Path) -> None:
    write_comparisons([comparison("k", "x", 1)], tmp_path / "c")
    write_preferences([preference("k", "a", "b")], tmp_path / "p")
    with pytest.raises(DataError, match="not of write_preferences: it has no column first, second"):
        read_preferences(tmp_path / "c")
    with pytest.raises(DataError, match="not of write_comparisons"):
        read_comparisons(tmp_path / "p")


def test_the_real_ratings_survive_the_disk(tmp_path: Path) -> None:
    rows, _ = parse_tasks(real_ratings(), richhf.FORM)
    write_ratings(rows, tmp_path / "ratings")
    assert read_ratings(tmp_path / "ratings") == read_ratings(tmp_path) == rows
    write_ratings([], tmp_path / "none")
    assert read_ratings(tmp_path / "none") == []


def test_a_partial_rating_survives_and_one_of_another_aspect_is_refused(tmp_path: Path) -> None:
    given = rating(
        values={"overall": 1 / 3},
        points={"misalignment": (), "implausibility": (Point(0.1, 1 / 3),)},
        misaligned=((0, 1), (2, 5)),
        flags=frozenset({"partial", "gold"}),
        seconds=1.5,
    )
    write_ratings([given, rating("m", values={})], tmp_path)
    assert read_ratings(tmp_path) == [given, rating("m", values={})]
    with pytest.raises(DataError, match="'k': no column takes charm"):
        write_ratings([rating(values={"charm": 1.0})], tmp_path / "other")
    with pytest.raises(DataError, match="'k': no column takes points_ugly"):
        write_ratings([rating(points={"ugly": ()})], tmp_path / "other")


def test_the_datasets_library_opens_ratings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    points = {"misalignment": (Point(0.25, 0.5),)}
    write_ratings([rating(points=points, misaligned=((2, 5),))], tmp_path / "r")
    cache = str(tmp_path / "cache")
    (row,) = datasets.load_dataset(str(tmp_path / "r"), split="train", cache_dir=cache)
    assert row["points_misalignment"] == [{"x": 0.25, "y": 0.5}]
    assert (row["overall"], row["misaligned"]) == (0.75, [{"start": 2, "end": 5}])


def test_a_folder_that_is_not_there_and_a_file_are_told_apart_from_an_empty_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text("prompt\n")
    for place, why in (("none", "is not there"), ("a.csv", "is a file"), (".", "holds no data")):
        with pytest.raises(DataError, match=why):
            read_preferences(tmp_path / place)
