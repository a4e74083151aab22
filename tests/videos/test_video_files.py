import os
from collections import Counter
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from beholder.errors import VideoError
from beholder.videos import read_video, read_video_rows
from tests.moving_pictures import frames, write_gif, write_mp4, write_video


def fault(path: Path) -> str:
    """The code of the fault, whose message names the file."""
    with pytest.raises(VideoError) as caught:
        read_video(path)
    assert str(path) in str(caught.value)
    return caught.value.code


def cut(path: Path, share: float) -> Path:
    """The same file without its end."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def test_a_missing_file_an_empty_one_and_a_device_have_their_reasons(tmp_path: Path) -> None:
    assert fault(tmp_path / "a.mp4") == "missing"
    (tmp_path / "b.mp4").touch()
    assert fault(tmp_path / "b.mp4") == "empty"
    os.mkfifo(tmp_path / "c.mp4")
    assert fault(tmp_path / "c.mp4") == "not-a-file"


def test_a_file_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames(3)).rename(tmp_path / "a.npz")
    assert len(read_video(path)) == 3


def test_arrays_of_npy_and_npz_are_read_as_they_are(tmp_path: Path) -> None:
    values = frames(3)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "b.npz", values)
    np.savez_compressed(tmp_path / "c.npz", video=values, other=np.zeros(3))
    for name in ("a.npy", "b.npz", "c.npz"):
        video = read_video(tmp_path / name).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(video, values)


def test_arrays_that_are_no_video_have_a_reason(tmp_path: Path) -> None:
    values = frames(3)
    np.savez(tmp_path / "two.npz", one=values, two=values)
    assert fault(tmp_path / "two.npz") == "format"
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert fault(tmp_path / "pickled.npy") == "corrupt"
    np.save(tmp_path / "picture.npy", values[0])
    assert fault(tmp_path / "picture.npy") == "shape"
    np.savez(tmp_path / "cut.npz", values)
    assert fault(cut(tmp_path / "cut.npz", 0.5)) == "corrupt"
    np.save(tmp_path / "cut.npy", values)
    assert fault(cut(tmp_path / "cut.npy", 0.5)) == "corrupt"
    with ZipFile(tmp_path / "texts.zip", "w") as archive:
        archive.writestr("video", "no array")
    assert fault(tmp_path / "texts.zip") == "format"
    (tmp_path / "not.npz").write_bytes(b"PK\x03\x04 nothing else")
    assert fault(tmp_path / "not.npz") == "corrupt"


def stripes(count: int) -> np.ndarray:  # type: ignore[type-arg]
    values = np.zeros((count, 8, 8, 3), np.uint8)
    values[np.arange(count), np.arange(count)] = 255
    return values


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_animations_give_every_frame_and_never_fewer(tmp_path: Path, suffix: str) -> None:
    values = stripes(8)
    pictures = [Image.fromarray(value) for value in values]
    path = tmp_path / f"a{suffix}"
    lossless: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **lossless)
    assert np.array_equal(read_video(path).permute(0, 2, 3, 1).numpy(), values)
    for share in (0.5, 0.8, 0.99):
        pictures[0].save(path, save_all=True, append_images=pictures[1:], **lossless)
        assert fault(cut(path, share)) in {"truncated", "corrupt"}, share


def test_a_gif_cut_after_any_byte_is_truncated_or_worse(tmp_path: Path) -> None:
    path = write_gif(tmp_path / "a.gif", stripes(3))
    data = path.read_bytes()
    for end in range(1, len(data)):
        path.write_bytes(data[:end])
        assert fault(path) in {"truncated", "corrupt", "format"}, end


def test_bytes_behind_the_end_of_a_gif_change_nothing(tmp_path: Path) -> None:
    path = write_gif(tmp_path / "a.gif", stripes(3))
    path.write_bytes(path.read_bytes() + b"\0junk")
    assert len(read_video(path)) == 3


def test_transparent_places_of_a_gif_show_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    picture.putpixel((0, 0), (255, 0, 0, 255))
    other = picture.copy()
    other.putpixel((1, 0), (0, 0, 255, 255))
    picture.save(tmp_path / "a.gif", save_all=True, append_images=[other], disposal=2)
    video = read_video(tmp_path / "a.gif")
    assert video[:, :, 3, 3].tolist() == [[255, 255, 255]] * 2
    assert video[:, :, 0, 0].tolist() == [[255, 0, 0]] * 2
    assert video[1, :, 0, 1].tolist() == [0, 0, 255]


def test_a_still_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "a.png")
    assert read_video(tmp_path / "a.png").shape == (1, 3, 8, 8)


def write_kinds(folder: Path) -> list[Path]:
    """A small video of each kind of file."""
    values = frames(6)
    pictures = [Image.fromarray(value) for value in values]
    for suffix in ("gif", "png", "webp"):
        pictures[0].save(folder / f"a.{suffix}", save_all=True, append_images=pictures[1:])
    np.save(folder / "a.npy", values)
    np.savez(folder / "a.npz", values)
    np.savez_compressed(folder / "b.npz", values)
    write_mp4(folder / "a.mp4", values)
    write_video(folder / "a.webm", values, "libvpx", "yuv420p")
    write_video(folder / "a.mkv", values)
    write_video(folder / "a.avi", values, "mpeg4", "yuv420p")
    return sorted(folder.iterdir())


def test_damage_anywhere_is_a_fault_of_the_video_and_never_a_crash(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    for path in write_kinds(tmp_path):
        whole = path.read_bytes()
        outcomes: Counter[str] = Counter()
        for number in range(40):
            data = bytearray(whole if number % 3 else whole[: generator.integers(1, len(whole))])
            reach = len(data) if number % 2 else min(len(data), 400)
            for at in generator.integers(0, reach, generator.integers(1, 12)):
                data[at] = generator.integers(0, 256)
            path.write_bytes(data)
            assert len(read_video_rows(path)) == 1
            try:
                outcomes["read"] += len(read_video(path)) > 0
            except VideoError as error:
                outcomes[error.code] += 1
        assert sum(outcomes.values()) == 40, path.name
        assert outcomes["read"] < 40, path.name


def test_titles_that_are_no_utf_8_do_not_matter(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames(3))
    data = path.read_bytes()
    assert data.count(b"VideoHandler") == 1
    path.write_bytes(data.replace(b"VideoHandler", b"Vid\xe9oHandler"))
    assert len(read_video(path)) == 3
