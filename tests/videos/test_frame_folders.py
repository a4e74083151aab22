from pathlib import Path

import pytest

from beholder._videos.frame_folders import frame_files, natural
from beholder.errors import VideoError
from beholder.videos import read_video
from tests.moving_pictures import frames, write_frames


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["f10.png", "f9.png", "f1.png", "g0.png", "f2b.png", "f2.png"]
    ordered = ["f1.png", "f2.png", "f2b.png", "f9.png", "f10.png", "g0.png"]
    assert sorted(names, key=natural) == ordered


def test_frames_come_by_their_numbers(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", frames(12))
    red = read_video(folder)[:, 0, 0, 0].tolist()
    assert red == [4 * at for at in range(12)]


def test_hidden_files_and_others_are_no_frames(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", frames(2))
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("a prompt")
    assert [path.name for path in frame_files(folder)] == ["frame_1.png", "frame_2.png"]


def test_a_constant_step_is_no_gap(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for number in (0, 5, 10):
        write_frames(folder, frames(1), first=number)
    assert len(frame_files(folder)) == 3


@pytest.mark.parametrize("numbers", [(1, 2, 4), (1, 3, 4), (10, 20, 40)])
def test_a_missing_frame_is_a_fault_and_no_shorter_video(
    tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    folder = tmp_path / "a"
    for number in numbers:
        write_frames(folder, frames(1), first=number)
    with pytest.raises(VideoError, match=r"frame_\d+\.png and frame_\d+\.png") as caught:
        read_video(folder)
    assert caught.value.code == "gap"


def test_a_frame_that_is_there_twice_is_a_fault(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", frames(2))
    write_frames(folder, frames(1), "frame_0{}.png")
    with pytest.raises(VideoError) as caught:
        frame_files(folder)
    assert caught.value.code == "gap"


def test_names_without_numbers_come_in_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for name in ("b.png", "a.png", "c1.png"):
        write_frames(folder, frames(1), name)
    assert [path.name for path in frame_files(folder)] == ["a.png", "b.png", "c1.png"]


def test_a_folder_without_pictures_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(VideoError) as caught:
        read_video(tmp_path / "a")
    assert caught.value.code == "empty"
