import sys
from pathlib import Path

import numpy as np
import pytest

from beholder.errors import MissingDependencyError, VideoError
from beholder.videos import read_clips, read_video
from tests.moving_pictures import frames, write_mp4, write_video


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


def damage(path: Path, at: float) -> Path:
    """The same file with 400 bytes of noise somewhere."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "just a text",
        "#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.mp4\n",
    ],
)
def test_a_text_or_a_playlist_is_no_video_whatever_its_name(tmp_path: Path, text: str) -> None:
    write_mp4(tmp_path / "other.mp4", frames(3))
    (tmp_path / "a.mp4").write_text(text)
    assert fault(tmp_path / "a.mp4") == "format"


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "container"),
    [
        ("index-last.mp4", "libx264", "yuv420p", {}),
        ("index-first.mp4", "libx264", "yuv420p", {"movflags": "faststart"}),
        ("pieces.mp4", "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mov", "mpeg4", "yuv420p", {}),
        ("a.avi", "mpeg4", "yuv420p", {}),
        ("a.mkv", "ffv1", "bgr0", {}),
        ("a.webm", "libvpx", "yuv420p", {}),
    ],
)
def test_a_file_that_was_cut_off_is_never_a_shorter_video(
    tmp_path: Path, name: str, codec: str, pixels: str, container: dict[str, str]
) -> None:
    path = write_video(tmp_path / name, frames(30), codec, pixels, container=container)
    assert len(read_video(path)) == 30
    cut(path, 0.6)
    assert fault(path) == "truncated"
    with pytest.raises(VideoError):  # also where the first frames alone are wanted
        read_clips(path, lambda _: [[0, 1]], lambda _, clip: clip)


def test_a_file_that_lacks_the_end_of_its_last_frame_is_cut_off(tmp_path: Path) -> None:
    container = {"movflags": "faststart"}
    path = write_video(tmp_path / "a.mp4", frames(30), "libx264", "yuv420p", container=container)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(VideoError) as caught:
        read_clips(path, lambda _: [[0, 1]], lambda _, clip: clip)
    assert caught.value.code == "truncated"


def test_a_damaged_frame_is_a_fault_and_not_patched_up(tmp_path: Path) -> None:
    values = frames(30, 96, 128)
    path = write_video(tmp_path / "a.mp4", values, "libx264", "yuv420p", {"threads": "1"})
    assert fault(damage(path, 0.5)) == "corrupt"


def test_a_damaged_frame_whose_decoder_would_go_on_is_a_fault_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", frames(30, 96, 128), "mjpeg", "yuvj420p")
    data = bytearray(path.read_bytes())
    start = [at for at in range(len(data)) if data[at : at + 4] == b"00dc"][10] + 800
    data[start : start + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(data)
    assert fault(path) == "corrupt"


def test_a_codec_that_nobody_knows_is_a_fault(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    assert fault(path) == "format"


def test_a_frame_that_got_lost_inside_an_avi_is_a_fault(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", frames(30), "mjpeg", "yuvj420p")
    data = bytearray(path.read_bytes())
    lost = [at for at in range(len(data)) if data[at : at + 4] == b"00dc"][10]
    data[lost : lost + 4] = b"JUNK"
    path.write_bytes(data)
    assert fault(path) == "truncated"


def test_damage_behind_the_last_frame_wanted_is_not_looked_at(tmp_path: Path) -> None:
    options = {"g": "1", "threads": "1"}
    values = frames(30, 96, 128)
    path = write_video(tmp_path / "a.mp4", values, "libx264", "yuv420p", options)
    damage(path, 0.8)
    assert len(read_clips(path, lambda _: [range(4)], lambda _, clip: clip)[0]) == 4
    assert fault(path) == "corrupt"


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        file.mux([*stream.encode(silence), *stream.encode(None)])
    assert fault(tmp_path / "a.mp4") == "format"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_lasts_longer_is_no_fault(tmp_path: Path, suffix: str) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as file:
        picture = file.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = file.add_stream("aac", rate=8000)
        for value in frames(10):
            file.mux(picture.encode(av.VideoFrame.from_ndarray(value, format="rgb24")))
        file.mux(picture.encode(None))
        for start in range(0, 24_000, 1024):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts = 8000, start
            file.mux(sound.encode(silence))
        file.mux(sound.encode(None))
    assert len(read_video(path)) == 10


def start_at(path: Path, packet: int) -> Path:
    """The same packets in another file, without those before one."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    later = path.with_stem(f"from-{packet}")
    with av.open(str(path)) as given, av.open(str(later), "w") as file:
        stream = file.add_stream_from_template(given.streams.video[0])
        for number, one in enumerate(given.demux(given.streams.video[0])):
            if one.dts is not None and number >= packet:
                one.stream = stream
                file.mux(one)
    return later


def test_frames_count_from_the_first_key_frame_on(tmp_path: Path) -> None:
    options = {"g": "10", "sc_threshold": "0", "bf": "0", "threads": "1"}
    path = write_video(tmp_path / "a.mp4", frames(30), "libx264", "yuv420p", options)
    assert len(read_video(start_at(path, 10))) == 20
    counts: list[int] = []

    def ends(count: int) -> list[list[int]]:
        counts.append(count)
        return [[0, 9]]

    clips = read_clips(start_at(path, 15), ends, lambda _, clip: clip)
    assert counts == [10]  # of the 15 that are left, 5 cannot be decoded
    assert clips[0][:, 0].float().mean((1, 2)).tolist() == pytest.approx([80, 116], abs=3)
    lone = write_video(tmp_path / "b.mp4", frames(9), "libx264", "yuv420p", {"threads": "1"})
    assert fault(start_at(lone, 3)) == "corrupt"


def test_without_pyav_files_say_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'beholder\[video\]'"):
        read_video(tmp_path / "a.mp4")
