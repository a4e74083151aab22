import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from beholder.errors import DataError, VideoError
from beholder.videos import read_video, read_video_rows
from tests.moving_pictures import frames, write_frames, write_gif, write_mp4


def keys(source: Path) -> list[str]:
    inputs = read_video_rows(source)
    found = [row.key for row in inputs]
    assert len(inputs) == len(found)
    return found


def test_a_folder_gives_its_files_and_folders_of_frames(tmp_path: Path) -> None:
    for name in ("clip10.mp4", "clip9.MP4", "deep/er/b.webm", "deep/c.npz", ".hidden.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("unreadable, but a row")
    write_frames(tmp_path / "deep" / "frames", frames(2))
    write_frames(tmp_path / ".cache" / "frames", frames(2))
    (tmp_path / "notes.txt").write_text("no video")
    expected = ["clip9.MP4", "clip10.mp4", "deep/c.npz", "deep/er/b.webm", "deep/frames"]
    assert keys(tmp_path) == expected


def test_a_folder_of_frames_is_one_video(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", frames(3))
    (row,) = read_video_rows(tmp_path / "a")
    assert row.key == "."
    assert len(read_video(row.image)) == 3  # type: ignore[arg-type]


def test_pictures_beside_videos_are_no_frames(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    write_frames(tmp_path, frames(1), "a.png")
    assert keys(tmp_path) == ["a.mp4"]


def test_animations_are_videos_and_stills_are_frames(tmp_path: Path) -> None:
    stills = [Image.new("RGB", (8, 8), (at, 0, 0)) for at in (0, 255)]
    write_gif(tmp_path / "a.gif", np.stack([np.asarray(s) for s in stills]))
    stills[0].save(tmp_path / "b.webp", save_all=True, append_images=stills[1:])
    stills[0].save(tmp_path / "c.png", save_all=True, append_images=stills[1:])
    (tmp_path / "still").mkdir()
    stills[0].save(tmp_path / "still" / "1.webp")
    stills[1].save(tmp_path / "still" / "2.png")
    assert keys(tmp_path) == ["a.gif", "b.webp", "c.png", "still"]


def test_the_folder_of_a_video_is_its_label_and_a_text_beside_it_its_prompt(tmp_path: Path) -> None:
    (tmp_path / "riding a bike").mkdir()
    (tmp_path / "riding a bike" / "1.mp4").touch()
    (tmp_path / "riding a bike" / "1.txt").write_text("someone rides a bike\n")
    write_frames(tmp_path / "juggling" / "clip", frames(2))
    (tmp_path / "top.mp4").touch()
    rows = {row.key: row for row in read_video_rows(tmp_path)}
    assert {key: row.extra.get("label") for key, row in rows.items()} == {
        "top.mp4": None,
        "juggling/clip": "juggling",
        "riding a bike/1.mp4": "riding a bike",
    }
    assert rows["riding a bike/1.mp4"].prompt == "someone rides a bike"
    assert rows["top.mp4"].prompt is None


def test_a_broken_video_is_an_error_of_its_row_only(tmp_path: Path) -> None:
    write_mp4(tmp_path / "a.mp4", frames(3))
    (tmp_path / "b.mp4").write_text("not a video")
    write_mp4(tmp_path / "c.mp4", frames(4))
    outcomes: list[int | str] = []
    for row in read_video_rows(tmp_path):
        try:
            outcomes.append(len(read_video(row.image)))  # type: ignore[arg-type]
        except VideoError as error:
            outcomes.append(error.code)
    assert outcomes == [3, "format", 4]


RECORDS = [
    {"video": "a.mp4", "caption": "one", "class": "juggling", "seed": "1"},
    {"video": "sub/frames", "caption": "", "class": "", "seed": "2"},
    {"video": "a.mp4", "caption": "three", "class": "archery", "seed": "3"},
    {"video": "", "caption": "four", "class": "archery", "seed": "4"},
]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_manifest_names_videos_prompts_and_labels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"set.{suffix}"
    if suffix == "csv":
        lines = [",".join(RECORDS[0]), *(",".join(record.values()) for record in RECORDS)]
        path.write_text("\n".join(lines))
    elif suffix == "jsonl":
        path.write_text("\n".join(map(json.dumps, RECORDS)))
    else:
        pq.write_table(pa.Table.from_pylist(RECORDS), path)
    inputs = read_video_rows(path)
    rows = list(inputs)
    assert inputs.has_prompts
    assert len(inputs) == 4
    assert [row.key for row in rows] == ["a.mp4", "sub/frames", "a.mp4#2", f"set.{suffix}#3"]
    assert [row.image for row in rows[:2]] == [
        str(tmp_path / "a.mp4"),
        str(tmp_path / "sub/frames"),
    ]
    assert rows[3].image is None
    assert [row.prompt for row in rows] == ["one", None, "three", "four"]
    assert [row.extra.get("label") for row in rows] == ["juggling", None, "archery", "archery"]
    assert [row.extra["seed"] for row in rows] == ["1", "2", "3", "4"]


def test_a_manifest_may_bring_keys(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("key,path\nfirst,a.mp4\nsecond,a.mp4\n")
    assert keys(tmp_path / "set.csv") == ["first", "second"]


def test_a_glob_names_videos_and_folders_of_frames(tmp_path: Path) -> None:
    for name in ("a/10.mp4", "a/9.mp4", "b/1.mp4", "b/1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    write_frames(tmp_path / "a" / "frames", frames(2))
    pattern = str(tmp_path / "*" / "*")
    rows = list(read_video_rows(pattern))
    assert [row.key for row in rows] == ["a/9.mp4", "a/10.mp4", "a/frames", "b/1.mp4"]
    assert rows[0].extra == {"label": "a"}
    with pytest.raises(DataError, match="no video"):
        read_video_rows(str(tmp_path / "*.mkv"))


def test_prompts_may_come_from_a_file(tmp_path: Path) -> None:
    for name in ("1.mp4", "2.mp4", "10.mp4"):
        (tmp_path / name).touch()
    lines = tmp_path / "prompts.txt"
    lines.write_text("one\ntwo\nten\n")
    inputs = read_video_rows(tmp_path, lines)
    assert inputs.has_prompts
    assert [row.prompt for row in inputs] == ["one", "two", "ten"]
    named = tmp_path / "prompts.json"
    named.write_text(json.dumps({"10.mp4": "ten"}))
    assert [row.prompt for row in read_video_rows(tmp_path, named)] == [None, None, "ten"]
    (tmp_path / "set.csv").write_text("video,prompt\n1.mp4,one\n")
    with pytest.raises(DataError, match="prompts come from"):
        read_video_rows(tmp_path / "set.csv", lines)


def test_an_array_of_several_videos_gives_a_row_each(tmp_path: Path) -> None:
    videos = np.stack([frames(3, seed=0), frames(3, seed=1)])
    np.save(tmp_path / "a.npy", videos)
    np.savez(tmp_path / "b.npz", videos)
    for name in ("a.npy", "b.npz"):
        rows = list(read_video_rows(tmp_path / name))
        assert [row.key for row in rows] == [f"{name}#0", f"{name}#1"]
        for row, video in zip(rows, videos, strict=True):
            assert np.array_equal(read_video(row.image).permute(0, 2, 3, 1), video)  # type: ignore[arg-type]


def test_one_file_is_one_row_whatever_is_in_it(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", frames(2))
    (tmp_path / "b.npz").write_bytes(b"no archive")
    (tmp_path / "c.mp4").touch()
    for name in ("a.npy", "b.npz", "c.mp4"):
        assert keys(tmp_path / name) == [name]


def test_what_holds_no_video_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "set.csv").write_text("film,prompt\na.mp4,one\n")
    with pytest.raises(DataError, match="no video and no folder of frames"):
        read_video_rows(tmp_path / "empty")
    with pytest.raises(DataError, match="no video column; it has film, prompt"):
        read_video_rows(tmp_path / "set.csv")
    with pytest.raises(DataError, match="does not exist"):
        read_video_rows(tmp_path / "nothing")
