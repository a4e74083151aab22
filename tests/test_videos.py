import weakref
from collections.abc import Sequence
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from beholder.errors import VideoError
from beholder.videos import read_clips, read_video
from tests.moving_pictures import frames, write_frames, write_gif, write_mp4, write_video


def shown(clip: Tensor) -> list[int]:
    """The number of each frame, by its red."""
    return [round(value / 4) for value in clip[:, 0].float().mean(dim=(1, 2)).tolist()]


def numbers(source: object, clips: Sequence[Sequence[int]]) -> list[list[int]]:
    return read_clips(source, lambda _: clips, lambda _, clip: shown(clip))  # type: ignore[arg-type]


def test_an_array_a_tensor_and_a_list_of_pictures_are_one_video() -> None:
    values = frames(3)
    expected = torch.from_numpy(values).permute(0, 3, 1, 2)
    for source in (values, expected, [Image.fromarray(v) for v in values], list(values)):
        video = read_video(source)
        assert video.dtype == torch.uint8
        assert torch.equal(video, expected)


def test_floats_are_rounded_to_the_nearest_of_256_steps() -> None:
    video = read_video(torch.tensor([0.0, 0.5, 1.0]).expand(2, 1, 4, 3))
    assert video[0, :, 0].tolist() == [[0, 128, 255]] * 3


def test_a_file_without_loss_gives_the_frames_that_were_written(tmp_path: Path) -> None:
    values = frames(6)
    video = read_video(write_video(tmp_path / "a.mkv", values))
    assert np.array_equal(video.permute(0, 2, 3, 1).numpy(), values)


def test_a_file_with_frames_stored_out_of_order_is_read_in_the_order_shown(tmp_path: Path) -> None:
    assert shown(read_video(write_mp4(tmp_path / "a.mp4", frames(20)))) == list(range(20))


def test_a_gif_gives_the_frames_that_were_written(tmp_path: Path) -> None:
    values = np.zeros((4, 8, 8, 3), np.uint8)
    for at in range(4):
        values[at, at, :, :] = 255
    video = read_video(write_gif(tmp_path / "a.gif", values))
    assert np.array_equal(video.permute(0, 2, 3, 1).numpy(), values)


def test_frames_are_turned_and_mirrored_as_the_header_says(tmp_path: Path) -> None:
    value = frames(1)
    for turn, mirrored in ((0, True), (90, False), (180, False), (270, False), (90, True)):
        path = write_mp4(tmp_path / "a.mp4", value, turned=(turn, mirrored))
        upright = np.rot90(value[0], turn // 90)
        upright = upright[:, ::-1] if mirrored else upright
        got = read_video(path)[0].permute(1, 2, 0).numpy()
        assert got.shape == upright.shape
        assert np.abs(got.astype(int) - upright).max() <= 3, (turn, mirrored)


def test_transparent_pixels_show_white(tmp_path: Path) -> None:
    values = np.zeros((2, 48, 64, 4), np.uint8)
    values[:, :, 32:] = (200, 30, 60, 255)
    video = read_video(write_video(tmp_path / "a.mkv", values, pixels="bgra"))
    assert video[0, :, 0, 0].tolist() == [255, 255, 255]
    assert video[0, :, 0, 63].tolist() == [200, 30, 60]


def test_clips_may_overlap_repeat_frames_and_come_in_any_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", frames(9))
    clips = [[4, 5, 6], [0, 1], [5, 5, 8], [6]]
    assert numbers(path, clips) == clips
    assert numbers(frames(9), clips) == clips


def test_the_choice_is_made_by_the_number_of_frames(tmp_path: Path) -> None:
    counts: list[int] = []
    values = frames(7)

    def first(count: int) -> list[list[int]]:
        counts.append(count)
        return [[0]]

    for source in (
        values,
        write_mp4(tmp_path / "a.mp4", values),
        write_frames(tmp_path / "a", values),
        write_gif(tmp_path / "a.gif", values),
    ):
        read_clips(source, first, lambda _, clip: clip)
    assert counts == [7] * 4


def test_nothing_is_decoded_where_no_clip_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_frames(path, frames(2))
    (path / "frame_1.png").write_bytes(b"no picture")
    assert numbers(path, []) == []


def test_only_the_frames_wanted_are_read_and_held(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", frames(5))
    (folder / "frame_5.png").write_bytes(b"no picture")
    assert numbers(folder, [[0, 1], [2, 3]]) == [[0, 1], [2, 3]]
    with pytest.raises(VideoError, match=r"frame 4: .*frame_5\.png") as caught:
        numbers(folder, [[0, 4]])
    assert caught.value.code == "format"


def test_a_clip_is_used_before_later_frames_are_read(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", frames(4))
    (folder / "frame_4.png").write_bytes(b"")
    used: list[int] = []
    with pytest.raises(VideoError):
        read_clips(folder, lambda _: [[0, 1], [2, 3]], lambda n, _: used.append(n))
    assert used == [0]


def test_no_more_frames_are_held_than_the_clips_need(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most: list[int] = []

    def read(source: object, **_: object) -> Tensor:
        frame = torch.zeros(3, 4, 4, dtype=torch.uint8)
        alive.add(frame)
        most.append(len(alive))
        return frame

    monkeypatch.setattr("beholder._videos.video_files.read_image", read)
    segments = [list(range(start, start + 4)) for start in range(0, 200, 4)]
    read_clips(frames(200, 8, 8), lambda _: segments, lambda _, clip: None)
    assert max(most) <= 5


def test_what_choose_and_use_raise_is_passed_on() -> None:
    def refuse(*_: object) -> list[list[int]]:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        read_clips(frames(2), refuse, lambda _, clip: clip)
    with pytest.raises(KeyError, match="mine"):
        read_clips(frames(2), lambda _: [[0]], refuse)


def test_frames_of_several_sizes_are_refused(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", frames(2))
    write_frames(folder, frames(1, height=32), first=3)
    with pytest.raises(VideoError, match="64 x 32, 64 x 48") as caught:
        read_video(folder)
    assert caught.value.code == "shape"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (np.zeros((4, 8, 3), np.uint8), "shape"),
        (np.zeros((2, 3, 8, 8), np.uint8), "shape"),
        (np.zeros((0, 8, 8, 3), np.uint8), "empty"),
        ([], "empty"),
        (np.zeros((2, 8, 8, 3), np.int64), "dtype"),
        (np.full((2, 8, 8, 3), 2.0), "range"),
        (np.full((2, 8, 8, 3), np.nan), "non-finite"),
    ],
)
def test_what_is_no_video_has_a_reason(source: object, code: str) -> None:
    with pytest.raises(VideoError) as caught:
        read_video(source)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_something_else_than_a_video_is_an_error_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users run it
    for source in (3, b"bytes", None):
        with pytest.raises(VideoError) as caught:
            read_video(source)  # type: ignore[arg-type]
        assert caught.value.code == "type"
