"""Videos for tests: pixels that are known, in files that are written here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from beholder._pixels import Array


def frames(count: int, height: int = 48, width: int = 64, seed: int = 0) -> Array:
    """A pattern (count, height, width, 3) that moves and whose red says the number of the frame."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    still = blocks.repeat(8, axis=0).repeat(8, axis=1)
    moving = np.stack([np.roll(still, 2 * at, axis=1) for at in range(count)])
    moving[..., 0] = (np.arange(count) * 4 % 256)[:, None, None]
    return moving


def write_video(
    path: Path,
    values: Array,
    codec: str = "ffv1",
    pixels: str = "bgr0",
    options: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
    turned: tuple[int, bool] | None = None,
) -> Path:
    """A video file by PyAV, by default without loss; skips the test where PyAV is not there."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(path), "w", options=dict(container or {})) as file:
        stream: Any = file.add_stream(codec, rate=25, options=dict(options or {}))
        stream.height, stream.width = values.shape[1:3]
        stream.pix_fmt = pixels
        if turned is not None:
            stream.set_display_rotation(turned[0], hflip=turned[1])
        layout = "rgba" if values.shape[3] == 4 else "rgb24"
        for value in values:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(value, format=layout)))
        file.mux(stream.encode(None))
    return path


def write_mp4(path: Path, values: Array, **options: Any) -> Path:
    """An H.264 file with B-frames, so that frames are stored in another order than shown."""
    x264 = {"qp": "0", "bf": "3", "threads": "1"}
    return write_video(path, values, "libx264", "yuv444p", x264, **options)


def write_gif(path: Path, values: Array) -> Path:
    """An animation whose colours are kept exactly: few of them, or black, white and grey."""
    pictures = [Image.fromarray(value) for value in values]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    return path


def write_frames(folder: Path, values: Array, name: str = "frame_{}.png", first: int = 1) -> Path:
    """A folder of pictures, numbered without leading zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(values, first):
        Image.fromarray(value).save(folder / name.format(number))
    return folder
