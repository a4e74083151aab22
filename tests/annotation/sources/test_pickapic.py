from pathlib import Path

import pytest

from beholder.annotation.sources import _place, load
from beholder.annotation.sources._place import Folder
from beholder.annotation.sources._source import Tally, opaque
from beholder.annotation.sources.pickapic import PickAPic, look_up
from beholder.errors import ConfigError
from beholder.types import Comparison
from tests.annotation.sources.published import jpeg, picked, write_parquet


def write(folder: Path, *rows: dict[str, object], split: str = "test") -> Path:
    write_parquet(folder / "data" / f"{split}-00000-of-00001-abc.parquet", rows)
    return folder


def read(source: PickAPic, folder: Path, tally: Tally | None = None) -> list[Comparison]:
    records = source.records(folder, "test", tally)
    return [record for record in records if isinstance(record, Comparison)]


def test_labels_become_ranks_and_halves_a_tie(tmp_path: Path) -> None:
    write(tmp_path, picked(1.0, 0.0), picked(0.5, 0.5), picked(0.0, 1.0))
    tally = Tally()
    records = read(PickAPic(version="v1"), tmp_path, tally)
    assert [r.ranks["overall"] for r in records] == [(1, 2), (1, 1), (2, 1)]
    assert (tally.pairs, tally.ties) == (3, 1)
    first = records[0]
    assert (first.key, first.prompt, first.images) == ("pickapic-v1/test/1", "a fox", ("a", "b"))
    assert first.annotator == opaque("pickapic", 7)
    assert first.source == "pickapic-v1"


def test_rows_without_label_are_left_out_and_counted_but_are_rows(tmp_path: Path) -> None:
    unlabelled = picked(None, None, has_label=False)
    write(tmp_path, picked(), unlabelled, unlabelled)
    tally = Tally()
    assert len(read(PickAPic(), tmp_path, tally)) == 1
    assert (tally.rows, tally.left_out) == (3, {"the pair has no label": 2})


def test_malformed_rows_are_counted_by_reason(tmp_path: Path) -> None:
    write(
        tmp_path,
        picked(1.0, 1.0),
        picked(None, 0.0),
        picked(caption=None),
        picked(image_1_uid=None),
        picked(user_id=None),
    )
    tally = Tally()
    (kept,) = read(PickAPic(), tmp_path, tally)
    assert kept.annotator == "unknown"
    assert tally.left_out == {
        "the labels are not 1 and 0, 0 and 1, or 0.5 and 0.5": 1,
        "label_0 is no number": 1,
        "caption is no text": 1,
        "image_1_uid is no text": 1,
    }


def test_pictures_inside_the_rows_are_written_once_by_content(tmp_path: Path) -> None:
    torn = picked(jpg_0=None, caption=None)  # left out: not noted as well
    write(tmp_path, picked(), picked(image_0_uid="c"), picked(jpg_1=None), torn)
    tally = Tally()
    records = read(PickAPic(pictures=tmp_path / "p"), tmp_path, tally)
    assert Path(records[0].images[0]).read_bytes() == jpeg(10)
    assert Path(records[0].images[1]).read_bytes() == jpeg(200)
    assert records[0].images[0] == records[1].images[0]
    assert len(list((tmp_path / "p").iterdir())) == 2
    assert records[2].images[1] == "b"
    assert tally.notes == {"no picture inside the row; its uid stands in": 1}


def test_the_unique_splits_are_other_files(tmp_path: Path) -> None:
    write(tmp_path, picked(), picked(), split="validation")
    write(tmp_path, picked(), split="validation_unique")
    source = PickAPic()
    assert len(list(source.records(tmp_path, "validation"))) == 2
    assert len(list(source.records(tmp_path, "validation_unique"))) == 1


def test_each_version_has_its_own_counts_and_repository() -> None:
    cards = [PickAPic(version="v1").card, PickAPic(version="v2").card]
    assert [c.splits["train"][0].count for c in cards] == [583_747, 959_040]
    assert [c.repository for c in cards] == [f"yuvalkirstain/pickapic_v{n}" for n in (1, 2)]
    assert [c.splits["test_unique"][0].count for c in cards] == [500, 500]
    with pytest.raises(ConfigError, match="no version 'v3'; expected v1 or v2"):
        load("pickapic", version="v3")


def test_bytes_of_pictures_are_not_read_unless_they_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    real = _place.parquet_rows

    def spy(place: Folder, names: list[str], columns: tuple[str, ...]) -> object:
        asked.append(columns)
        return real(place, names, columns)

    monkeypatch.setattr("beholder.annotation.sources.pickapic.parquet_rows", spy)
    write(tmp_path, picked())
    read(PickAPic(), tmp_path)
    read(PickAPic(pictures=tmp_path / "p"), tmp_path)
    assert [{"jpg_0", "jpg_1"} <= set(columns) for columns in asked] == [False, True]


def test_prompts_and_pictures_are_looked_up_by_uid(tmp_path: Path) -> None:
    write(tmp_path, picked(), picked(caption="a hen", image_0_uid="b", image_1_uid="c"))
    place = Folder(tmp_path)
    assert look_up(place, "test", {"b", "c", "gone"}, None) == {
        "b": ("a fox", None),
        "c": ("a hen", None),
    }
    prompt, picture = look_up(place, "test", {"b"}, tmp_path / "p")["b"]
    assert prompt == "a fox"
    assert Path(str(picture)).read_bytes() == jpeg(200)
