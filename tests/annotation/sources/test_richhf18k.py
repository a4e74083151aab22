from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from beholder.annotation.sources._source import Tally
from beholder.annotation.sources.richhf18k import NO_PROMPT, UNLIKE_PROMPT, RichHF18K
from beholder.errors import AnnotationError
from beholder.types import Feedback
from tests.annotation.sources.published import (
    example,
    frame,
    jpeg,
    picked,
    png,
    rich,
    touch,
    write_json,
    write_parquet,
    write_tfrecord,
)

UID = "0a1b2c3d-0000-4000-8000-000000000001"


def read(
    folder: Path, tally: Tally | None = None, split: str = "train", **options: Any
) -> list[Feedback]:
    records = RichHF18K(**options).records(folder, split, tally)
    return [record for record in records if isinstance(record, Feedback)]


def words(record: Feedback) -> Sequence[tuple[str, int, int, float]]:
    return [(w.word, w.start, w.end, w.p_misaligned) for w in record.words]


def test_the_eight_features_become_one_feedback(tmp_path: Path) -> None:
    heat: dict[str, Any] = {"artifact_map": png(200, 16), "misalignment_map": png(3, 16)}
    write_tfrecord(tmp_path / "train.tfrecord", [rich(UID, **heat)])
    touch(tmp_path, f"p/train/{UID}.png")
    write_json(tmp_path / "prompts.json", {UID: "red fox"})
    tally = Tally()
    (record,) = read(tmp_path, tally, pictures=tmp_path / "p", prompts=tmp_path / "prompts.json")
    assert record.key == f"richhf18k/{UID}"
    assert record.image == str(tmp_path / "p" / "train" / f"{UID}.png")
    assert record.values == {
        "plausibility": 0.5,
        "alignment": 0.75,
        "aesthetics": 0.25,
        "overall": 1.0,
    }
    assert torch.equal(record.maps["implausibility"], torch.full((16, 16), 200).byte())
    assert torch.equal(record.maps["misalignment"], torch.full((16, 16), 3).byte())
    assert words(record) == [("red", 0, 3, 0.0), ("fox", 4, 7, 1.0)]  # label 0 is misaligned
    assert record.votes == 3
    assert not tally.notes


def test_words_are_what_stands_between_the_published_delimiters(tmp_path: Path) -> None:
    prompt = 'A "cat\'s" hat,red; 8.5k: what?!  so-so\tend'
    tokens = ["A", "cat's", "hat", "red", "8", "5k", "what", "so-so\tend"]
    labels = "1 0 1 0 1 0 1 0"
    write_tfrecord(tmp_path / "train.tfrecord", [rich(UID, labels)])
    write_json(tmp_path / "prompts.json", {f"train/{UID}.png": prompt})
    (record,) = read(tmp_path, prompts=tmp_path / "prompts.json")
    assert [w.word for w in record.words] == tokens
    assert [w.p_misaligned for w in record.words] == [0, 1, 0, 1, 0, 1, 0, 1]
    assert all(prompt[w.start : w.end] == w.word for w in record.words)


def test_prompts_come_from_a_manifest_or_a_text_beside_the_picture(tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "train.tfrecord", [rich("x"), rich("y")])
    (tmp_path / "prompts.csv").write_text("file_name,prompt\nx.png,red fox\ny.png,red hen\n")
    records = read(tmp_path, prompts=tmp_path / "prompts.csv")
    assert [r.prompt for r in records] == ["red fox", "red hen"]
    touch(tmp_path, "p/x.jpg")
    (tmp_path / "p" / "x.txt").write_text("blue fox\n")
    records = read(tmp_path, pictures=tmp_path / "p")
    assert [r.prompt for r in records] == ["blue fox", ""]


def test_without_its_prompt_a_record_comes_without_words_and_is_noted(tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "train.tfrecord", [rich("x"), rich("y"), rich("z")])
    write_json(tmp_path / "prompts.json", {"x": "a red fox", "y": "red fox"})
    tally = Tally()
    records = read(tmp_path, tally, prompts=tmp_path / "prompts.json")
    assert [r.prompt for r in records] == ["a red fox", "red fox", ""]
    assert [len(r.words) for r in records] == [0, 2, 0]
    assert tally.notes == {UNLIKE_PROMPT: 1, NO_PROMPT: 1, "missing_picture": 3}
    assert tally.examples[UNLIKE_PROMPT] == [f"row 1: {UNLIKE_PROMPT}"]
    assert (tally.rows, tally.records) == (3, 3)


@pytest.mark.parametrize(("split", "in_pickapic"), [("dev", "train"), ("test", "test")])
def test_prompts_and_pictures_come_from_pick_a_pic(
    split: str, in_pickapic: str, tmp_path: Path
) -> None:
    write_tfrecord(tmp_path / f"{split}.tfrecord", [rich("a"), rich("b"), rich("c")])
    pickapic = tmp_path / "pickapic"
    write_parquet(pickapic / f"data/{in_pickapic}-00000-of-00001.parquet", [picked()])
    tally = Tally()
    a, b, c = read(tmp_path, tally, split, pickapic=pickapic, pictures=tmp_path / "p")
    assert (a.prompt, b.prompt, c.prompt) == ("a fox", "a fox", "")
    assert Path(a.image).read_bytes() == jpeg(10)
    assert Path(b.image).read_bytes() == jpeg(200)
    assert c.image == "train/c.png"
    assert tally.notes == {NO_PROMPT: 1, "missing_picture": 1}
    a, b, c = read(tmp_path, split=split, pickapic=pickapic)
    assert (a.prompt, a.image) == ("a fox", "train/a.png")


def test_the_mirror_with_pictures_gives_the_same(tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "train.tfrecord", [rich()])
    write_json(tmp_path / "prompts.json", {"u": "red fox"})
    named = {"filename": "train/u.png", "prompt_misalignment_label": "1 0"}
    inside = {"image": jpeg(10), "prompt": "red fox", "clean_prompt": "red fox"}
    mirror = tmp_path / "mirror"
    write_parquet(mirror / "data/train-00000-of-00001.parquet", [{**rich(), **named, **inside}])
    (first,) = read(tmp_path, prompts=tmp_path / "prompts.json")
    (second,) = read(mirror, pictures=tmp_path / "p")
    assert first.values == second.values
    assert words(first) == words(second) == [("red", 0, 3, 0.0), ("fox", 4, 7, 1.0)]
    assert all(torch.equal(first.maps[kind], second.maps[kind]) for kind in first.maps)
    assert Path(second.image).read_bytes() == jpeg(10)


def test_a_text_in_the_working_folder_is_no_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tfrecord(tmp_path / "train.tfrecord", [rich("x")])
    touch(tmp_path, "train/x.txt")
    monkeypatch.chdir(tmp_path)
    (record,) = read(tmp_path)
    assert record.prompt == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"overall_score": 1.25}, "overall_score is not in [0, 1]"),
        ({"artifact_score": float("nan")}, "artifact_score is no number"),
        ({"aesthetics_score": b"0.5"}, "aesthetics_score is no number"),
        ({"artifact_map": b"no picture"}, "artifact_map is no picture"),
        ({"misalignment_map": 0.5}, "misalignment_map is no picture"),
        ({"filename": b""}, "filename is no text"),
        ({"filename": b"\xff"}, "the record is no Example"),
        ({"filename": b"../../secret.png"}, "leaves the data set"),
        ({"filename": b"a\0b.png"}, "leaves the data set"),
        ({"filename": b"."}, "leaves the data set"),
        ({"prompt_misalignment_label": b"1 2"}, "other labels than 0 and 1"),
        ({"prompt_misalignment_label": b""}, "prompt_misalignment_label is no text"),
    ],
)
def test_a_malformed_record_is_counted_and_the_next_one_read(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    write_tfrecord(tmp_path / "train.tfrecord", [rich("x", **changes), rich("y")])
    tally = Tally()
    (kept,) = read(tmp_path, tally)
    assert kept.key == "richhf18k/y"
    ((counted, number),) = tally.left_out.items()
    assert reason in counted
    assert number == 1
    assert tally.rows == 2
    assert set(tally.notes.values()) == {1}  # of the record that came out


def test_a_missing_feature_and_a_torn_message_are_counted(tmp_path: Path) -> None:
    partial = {k: v for k, v in rich().items() if k != "artifact_map"}
    data = (
        frame(example(partial)) + frame(example(rich())[:-3]) + frame(b"") + frame(example(rich()))
    )
    (tmp_path / "train.tfrecord").write_bytes(data)
    tally = Tally()
    assert len(read(tmp_path, tally)) == 1
    assert tally.left_out == {
        "artifact_map is no picture": 1,
        "the record is no Example": 1,
        "filename is no text": 1,
    }


def test_a_record_with_a_wrong_check_sum_is_left_out_with_its_offset(tmp_path: Path) -> None:
    first = frame(example(rich("x")))
    data = bytearray(first + frame(example(rich("y"))))
    data[len(first) + 40] ^= 1
    (tmp_path / "train.tfrecord").write_bytes(data)
    tally = Tally()
    (kept,) = read(tmp_path, tally)
    assert kept.key == "richhf18k/x"
    assert tally.left_out == {"the record's check sum is wrong": 1}
    assert tally.examples["the record's check sum is wrong"] == [
        f"row 2: the record's check sum is wrong: byte {len(first)}"
    ]


def test_a_truncated_file_ends_with_its_name_and_offset(tmp_path: Path) -> None:
    first = frame(example(rich("x")))
    (tmp_path / "train.tfrecord").write_bytes((first + frame(example(rich("y"))))[:-5])
    records = RichHF18K().records(tmp_path, "train")
    assert next(records).key == "richhf18k/x"
    with pytest.raises(AnnotationError, match=rf"train\.tfrecord, byte {len(first)}: the file end"):
        next(records)


def test_the_published_counts_are_those_of_the_paper() -> None:
    counts = {k: v[0].count for k, v in RichHF18K().card.splits.items()}
    assert counts == {"train": 15_810, "dev": 995, "test": 955}
    assert sum(counts.values()) == 17_760
