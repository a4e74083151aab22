from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from beholder.annotation.forms import richhf
from beholder.annotation.joining.answers import DOUBTFUL
from beholder.annotation.joining.feedback import (
    aggregate_ratings,
    holds_feedback,
    read_feedback,
    write_feedback,
)
from beholder.annotation.joining.heatmaps import HeatConfig, heatmap
from beholder.annotation.reading.label_studio import parse_tasks
from beholder.annotation.records.dataset import write_preferences, write_ratings
from beholder.errors import DataError
from beholder.types import MAPS, Feedback, Point, Rating, WordLabel
from tests.annotation.samples import ALL_GOOD, rating, real_ratings

TINY = HeatConfig(size=(8, 6), radius=0.2)
HERE = Point(0.5, 0.25)


def joined(*ratings: Rating, heat: HeatConfig = TINY) -> Feedback:
    (found,) = aggregate_ratings(ratings, heat=heat)
    return found


def same(a: Feedback, b: Feedback) -> bool:
    return (
        replace(a, maps={}, words=list(a.words)) == replace(b, maps={}, words=list(b.words))
        and a.maps.keys() == b.maps.keys()
        and all(torch.equal(a.maps[kind], b.maps[kind]) for kind in a.maps)
    )


def test_values_maps_and_words_are_shares_of_the_annotators() -> None:
    found = joined(
        rating(annotator="x", values={"overall": 1.0}, points={"misalignment": (HERE, HERE)}),
        rating(annotator="y", values={"overall": 0.25}, misaligned=((2, 5), (6, 9))),
        rating(annotator="z", values={"overall": 0.25}, misaligned=((6, 9),)),
    )
    assert (found.values, found.votes) == ({"overall": 0.5}, 3)
    assert (found.key, found.prompt, found.image) == ("k", "a red fox", "k.png")
    assert [(w.word, w.p_misaligned) for w in found.words] == [
        ("a", 0),
        ("red", 1 / 3),
        ("fox", 2 / 3),
    ]
    assert list(found.maps) == list(MAPS)
    assert found.maps["implausibility"].max() == 0
    assert found.maps["misalignment"].unique().tolist() == [0, 85]
    assert torch.equal(found.maps["misalignment"], heatmap([[HERE], [], []], (8, 6), TINY))


def test_a_partial_rating_counts_in_what_it_answers() -> None:
    found = joined(
        rating(annotator="x", values={"overall": 1.0, "alignment": 0.5}),
        rating(annotator="y", values={"overall": 0.0}, flags=frozenset({"partial"})),
    )
    assert (found.values, found.votes) == ({"overall": 0.5, "alignment": 0.5}, 2)


@pytest.mark.parametrize("flag", sorted(DOUBTFUL))
def test_a_doubtful_rating_does_not_count(flag: str) -> None:
    doubtful = rating(annotator="y", values={"overall": 0.0}, flags=frozenset({flag, "partial"}))
    assert joined(rating(), doubtful).values == ALL_GOOD
    assert list(aggregate_ratings([doubtful], heat=TINY)) == []
    (counted,) = aggregate_ratings([doubtful], heat=TINY, exclude=())
    assert counted.values == {"overall": 0.0}


def test_the_real_ratings_give_one_feedback_a_rated_picture() -> None:
    rows, _ = parse_tasks(real_ratings(), richhf.FORM)
    found = {f.key: f for f in aggregate_ratings(rows)}
    assert {key: f.votes for key, f in found.items()} == {
        "rich-0000": 3,
        "rich-0001": 3,
        "rich-0002": 2,
        "rich-0003": 2,
        "rich-0004": 2,
        "rich-0005": 2,
    }
    first = found["rich-0000"]
    assert first.maps["implausibility"].shape == (512, 512)
    assert first.maps["implausibility"][128, 128] == 85
    marked = {word.word: word.p_misaligned for word in first.words if word.p_misaligned}
    assert marked == {"newspaper": 1 / 3}
    marked = {
        word.word: word.p_misaligned for word in found["rich-0001"].words if word.p_misaligned
    }
    assert marked == {"宇": 1 / 3, "宙": 1 / 3, "café": 1 / 3}


def test_maps_of_the_pictures_own_size_and_none_where_it_cannot_be_read(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    ratings = [rating(name, image=str(tmp_path / f"{name}.png")) for name in ("a", "b", "c")]
    a, b, c = aggregate_ratings(ratings, heat=HeatConfig(size=None))
    assert a.maps["misalignment"].shape == (20, 30)
    assert (b.maps, c.maps) == ({}, {})
    assert b.values == c.values == ALL_GOOD


def test_feedback_survives_the_disk(tmp_path: Path) -> None:
    rows, _ = parse_tasks(real_ratings(), richhf.FORM)
    given = list(aggregate_ratings(rows, heat=HeatConfig(shape="gaussian", size=(40, 60))))
    sparse = Feedback(
        key="s", prompt="", image="s.png", values={"overall": 1 / 3}, maps={MAPS[1]: noise(5, 7)}
    )
    bare = Feedback(key="b", prompt="猫", image="b.png", values={})
    write_feedback(iter([*given, sparse, bare]), tmp_path / "feedback")
    found = list(read_feedback(tmp_path / "feedback"))
    assert len(found) == len(given) + 2
    assert all(same(a, b) for a, b in zip(found, [*given, sparse, bare], strict=True))
    assert same(next(read_feedback(tmp_path)), given[0])


def noise(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (height, width), dtype=torch.uint8)


def test_records_are_taken_as_they_are_written(tmp_path: Path) -> None:
    alive: list[int] = []

    def records() -> Iterator[Feedback]:
        for n in range(250):
            alive.append(n)
            yield Feedback(key=str(n), prompt="", image="x", values={}, maps={MAPS[0]: noise(4, 4)})

    write_feedback(records(), tmp_path, notice="Simulated.")
    reader = read_feedback(tmp_path)
    assert next(reader).key == "0"
    assert [f.key for f in reader] == [str(n) for n in range(1, 250)]
    assert "250 pictures" in (tmp_path / "README.md").read_text()
    assert "Simulated." in (tmp_path / "README.md").read_text()


def test_embedded_pictures_come_back_as_files(tmp_path: Path) -> None:
    path = tmp_path / "k.png"
    Image.new("RGB", (3, 2), "red").save(path)
    original = path.read_bytes()
    write_feedback([joined(rating(image=str(path)))], tmp_path / "f", embed=True)
    path.unlink()
    (found,) = read_feedback(tmp_path / "f", pictures=tmp_path / "unpacked")
    assert Path(found.image).parent == tmp_path / "unpacked"
    assert Path(found.image).read_bytes() == original


def test_the_datasets_library_sees_pictures_words_and_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    given = joined(rating(points={"misalignment": (HERE,)}, misaligned=((2, 5),)))
    write_feedback([given], tmp_path / "f")
    cache = str(tmp_path / "cache")
    opened = datasets.load_dataset(str(tmp_path / "f"), split="train", cache_dir=cache)
    assert isinstance(opened.features["map_misalignment"], datasets.Image)
    row = opened[0]
    assert (row["map_misalignment"].mode, row["map_misalignment"].size) == ("L", (6, 8))
    assert row["map_misalignment"].getpixel((3, 2)) == 255
    assert row["words"][1] == {"word": "red", "start": 2, "end": 5, "p_misaligned": 1.0}
    assert (row["overall"], row["votes"], row["image"]) == (0.75, 1, "k.png")


def test_what_the_columns_cannot_hold_is_refused(tmp_path: Path) -> None:
    word = WordLabel("a", 0, 1, 0.0)
    odd = Feedback(key="k", prompt="a", image="x", values={"charm": 1.0}, words=[word])
    with pytest.raises(DataError, match="'k': no column takes charm"):
        write_feedback([odd], tmp_path)
    write_ratings([rating()], tmp_path / "ratings")
    with pytest.raises(DataError, match="not of write_feedback"):
        next(read_feedback(tmp_path / "ratings"))


@pytest.mark.parametrize(
    ("cell", "reason"),
    [({"path": "x.png"}, "no bytes"), ({"bytes": b"no picture"}, "not a known picture")],
)
def test_a_damaged_map_is_no_map_of_zeros(
    cell: dict[str, object], reason: str, tmp_path: Path
) -> None:
    given = joined(rating())
    write_feedback([given], tmp_path)
    shard = next(tmp_path.rglob("*.parquet"))
    table = pq.read_table(shard)
    place = table.schema.get_field_index("map_misalignment")
    damaged = pa.array([cell], table.schema.field(place).type)
    pq.write_table(table.set_column(place, "map_misalignment", damaged), shard)
    with pytest.raises(DataError, match=reason):
        next(read_feedback(tmp_path))


def test_a_folder_of_feedback_is_known_by_its_columns(tmp_path: Path) -> None:
    feedback = Feedback(key="k", prompt="a cat", image="a.png", values={})
    write_feedback([feedback], tmp_path / "imported" / "feedback")
    write_preferences([], tmp_path / "preferences")
    assert holds_feedback(tmp_path / "imported" / "feedback")
    assert holds_feedback(tmp_path / "imported")
    assert not holds_feedback(tmp_path / "preferences")
    assert not holds_feedback(tmp_path / "nowhere")
