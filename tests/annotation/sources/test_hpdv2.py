from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.joining.aggregate import by_votes
from beholder.annotation.sources._source import Tally, check_counts, opaque
from beholder.annotation.sources.hpdv2 import HPDv2
from beholder.annotation.trust.agreement import agreement
from beholder.types import Comparison
from tests.annotation.sources.published import touch, write_json

NINE = [f"{i}.jpg" for i in range(9)]


def pair(*wins: Any, **changes: Any) -> dict[str, Any]:
    return {
        "prompt": "a fox",
        "file_path": ["a.jpg", "b.jpg"],
        "human_preference": list(wins),
        **changes,
    }


def ranking(ranks: list[Any], *annotations: Any, **changes: Any) -> dict[str, Any]:
    row = {"prompt": "a fox", "image_path": NINE, "rank": ranks, "raw_annotations": annotations}
    return {**row, **changes}


def read(
    folder: Path, split: str, *, raw: bool = False, tally: Tally | None = None
) -> list[Comparison]:
    records = HPDv2(raw=raw).records(folder, split, tally)
    return [record for record in records if isinstance(record, Comparison)]


def test_the_preferred_picture_of_a_train_pair_has_one(tmp_path: Path) -> None:
    rows = [pair(1, 0), pair(0, 1, user_hash="someone")]
    write_json(tmp_path / "train.json", rows)
    touch(tmp_path, "train/a.jpg", "train/b.jpg")
    first, second = read(tmp_path, "train")
    assert (first.ranks["overall"], second.ranks["overall"]) == ((1, 2), (2, 1))
    assert first.images == (str(tmp_path / "train/a.jpg"), str(tmp_path / "train/b.jpg"))
    assert (first.annotator, second.annotator) == ("unknown", opaque("hpdv2", "someone"))
    assert not first.flags
    assert first.key == "hpdv2/train/1"


def test_a_path_that_names_the_split_already_is_the_same_file(tmp_path: Path) -> None:
    write_json(tmp_path / "train.json", [pair(1, 0, file_path=["train/a.jpg", "b.jpg"])])
    (record,) = read(tmp_path, "train")
    assert record.images == (str(tmp_path / "train/a.jpg"), str(tmp_path / "train/b.jpg"))
    assert record.flags == {"missing_picture"}


def test_malformed_pairs_are_counted_by_reason(tmp_path: Path) -> None:
    bad = [
        pair(1, 1),
        pair(0, 0),
        pair(1, 0, 0),
        pair(1),
        pair(1, 0, file_path=["a.jpg"]),
        pair(1, 0, file_path=["a.jpg", "../b.jpg"]),
        pair(1, 0, prompt=""),
        pair("1", "0"),
        "junk",
    ]
    write_json(tmp_path / "train.json", [*bad, pair(0, 1)])
    tally = Tally()
    (kept,) = read(tmp_path, "train", tally=tally)
    assert kept.key == "hpdv2/train/10"
    assert tally.left_out == {
        "human_preference does not name one winner": 4,
        "not as many ranks as pictures, or fewer than two": 1,
        "the picture's path leaves the data set": 1,
        "prompt is no text": 1,
        "human_preference is no number": 1,
        "the row is no object": 1,
    }


def test_a_test_prompt_is_one_record_of_averaged_ranks_with_ties(tmp_path: Path) -> None:
    write_json(tmp_path / "test.json", [ranking([0, 1, 1, 3, 4, 5, 6, 7, 8])])
    tally = Tally()
    (record,) = read(tmp_path, "test", tally=tally)
    assert record.ranks["overall"] == (1, 2, 2, 4, 5, 6, 7, 8, 9)
    assert record.images[3] == str(tmp_path / "test/3.jpg")
    assert (tally.pairs, tally.ties) == (36, 1)


def test_raw_gives_one_record_an_annotator_who_share_the_question(tmp_path: Path) -> None:
    up, down = list(range(1, 10)), list(range(9, 0, -1))
    annotations = [
        {"rank": up, "user_hash": "x"},
        {"rank": up, "user_hash": "y"},
        {"rank": down, "user_hash": "z"},
    ]
    write_json(tmp_path / "test.json", [ranking(up, *annotations)])
    touch(tmp_path, *(f"test/{name}" for name in NINE))
    records = read(tmp_path, "test", raw=True)
    assert {r.key for r in records} == {"hpdv2/test/1"}
    assert [r.annotator for r in records] == [opaque("hpdv2", name) for name in "xyz"]
    assert records[2].ranks["overall"] == tuple(down)
    # Of the three pairs of people, one agrees.
    assert agreement(records).aspects["overall"].percent == pytest.approx(1 / 3)
    assert {round(p.p_first["overall"], 6) for p in by_votes(records)} == {round(2 / 3, 6)}


def test_a_malformed_annotation_does_not_cost_the_others_of_its_prompt(tmp_path: Path) -> None:
    good = {"rank": list(range(9)), "user_hash": "x"}
    bad = [{"rank": [1, 2], "user_hash": "y"}, {"rank": list(range(9))}, 4]
    write_json(tmp_path / "test.json", [ranking(list(range(9)), good, *bad, good)])
    tally = Tally()
    assert len(read(tmp_path, "test", raw=True, tally=tally)) == 2
    assert tally.left_out == {
        "not as many ranks as pictures, or fewer than two": 1,
        "user_hash is no text": 1,
        "the row is no object": 1,
    }


def test_the_published_pairs_of_the_test_split_are_those_of_raw(tmp_path: Path) -> None:
    tally = Tally(rows=400, records=4250, pairs=153_000)
    assert all(check.agrees for check in check_counts(HPDv2(raw=True).card, "test", tally))
    assert [p.of for p in HPDv2().card.splits["test"]] == ["rows"]
