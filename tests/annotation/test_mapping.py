import json
from pathlib import Path

import pytest

from beholder.annotation.mapping import TaskPicture, TaskSides, read_mapping, write_mapping
from beholder.errors import AnnotationError

ROW = {"task_key": "k", "image_a": "/a.png", "image_b": "/b.png", "left_is": "b"}


def sides(**changes: str) -> TaskSides:
    return TaskSides.from_row({**ROW, "checkpoint_a": "step-1", **changes})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rows = [sides(), sides(task_key="猫", left_is="a")]
    write_mapping(rows, tmp_path / "m.jsonl")
    assert read_mapping(tmp_path / "m.jsonl", TaskSides) == {row.task_key: row for row in rows}
    assert rows[0].extra == {"checkpoint_a": "step-1"}


def test_gold_answers_and_repeats_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [
        sides(kind="gold", gold_overall="tie"),
        sides(task_key="r", kind="repeat", repeats="k"),
    ]
    write_mapping(rows, tmp_path / "m.jsonl")
    assert list(read_mapping(tmp_path / "m.jsonl", TaskSides).values()) == rows
    assert (rows[0].gold, rows[1].repeats) == ({"overall": "tie"}, "k")
    assert rows[1].extra == {"checkpoint_a": "step-1"}


def test_a_single_picture_comes_back_as_it_was(tmp_path: Path) -> None:
    row = TaskPicture(task_key="p", image="/a.png", kind="gold", gold={"overall": "0.75"})
    write_mapping([row], tmp_path / "m.jsonl")
    assert read_mapping(tmp_path / "m.jsonl", TaskPicture) == {"p": row}
    with pytest.raises(AnnotationError, match="row 1: gold_overall is '3'"):
        write_mapping([TaskPicture(task_key="p", image="a", gold={"overall": "3"})], tmp_path / "n")
        read_mapping(tmp_path / "n", TaskPicture)


def test_csv_json_and_jsonl_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text("\n" + json.dumps(ROW) + "\n\n")
    (tmp_path / "m.json").write_text("\ufeff" + json.dumps([ROW]))
    (tmp_path / "m.csv").write_text(",".join(ROW) + "\n" + ",".join(ROW.values()) + "\n")
    read = [read_mapping(tmp_path / name, TaskSides) for name in ("m.jsonl", "m.json", "m.csv")]
    assert read[0] == read[1] == read[2]
    assert read[0]["k"].left_is == "b"


def test_relative_pictures_lie_beside_the_file_or_under_the_root(tmp_path: Path) -> None:
    folder, root = tmp_path / "m", tmp_path / "root"
    for path in (folder / "near.png", root / "far.png"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    row = sides(image_a="near.png", image_b="far.png")
    write_mapping([row], folder / "m.jsonl")
    found = read_mapping(folder / "m.jsonl", TaskSides, root)["k"]
    assert (found.image_a, found.image_b) == (str(folder / "near.png"), str(root / "far.png"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps({**ROW, "left_is": "left"}), "row 1: left_is is 'left', expected 'a' or 'b'"),
        (json.dumps({**ROW, "image_b": ""}), "row 1: image_b is '', expected text"),
        (json.dumps({"task_key": "k"}), "row 1: image_a is None"),
        (json.dumps({**ROW, "kind": "trap"}), "row 1: kind is 'trap', expected one of ask"),
        (json.dumps({**ROW, "gold_overall": "left"}), "row 1: gold_overall is 'left', expected"),
        (json.dumps(ROW) + "\n" + json.dumps(ROW), "row 2: task_key 'k' is repeated"),
        ("[1]", "row 1: expected an object, got int"),
        ("{", "neither JSONL, JSON nor CSV"),
    ],
)
def test_a_malformed_row_is_named(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises(AnnotationError, match=reason):
        read_mapping(tmp_path / "m.jsonl", TaskSides)


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="cannot read the mapping"):
        read_mapping(tmp_path / "none.csv", TaskSides)
