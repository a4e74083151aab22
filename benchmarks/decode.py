"""Decode a JPEG and resize it to 224, 8-bit to the end: beside Pillow, in CPU time of one thread.

    python benchmarks/decode.py --sizes 512 1024 --rounds 9 --out benchmarks/results/decode.txt

Rounds are interleaved, so that a busy machine slows both; the ratio of each round is what counts.
"""

import argparse
import io
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
import torch
from PIL import Image, ImageFilter

from beholder.eval.cost import processor
from beholder.images import read_image
from beholder.rewards._preprocess import Preprocess

SIDE = 224
FIT = Preprocess(size=SIDE, fit="squash")
Resized = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    lines = [heading(), *(measure(side, arguments) for side in arguments.sizes)]
    report = "\n".join(lines) + "\n"
    sys.stdout.write(report)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="decode + resize to 224, beside Pillow")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024], help="side, pixels")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds")
    parser.add_argument("--pictures", type=int, default=8, help="pictures of each size")
    parser.add_argument("--photos", type=Path, help="folder of photographs; default: made up")
    parser.add_argument("--out", type=Path, help="also write the report to this file")
    return parser.parse_args()


def heading() -> str:
    versions = {
        "python": platform.python_version(),
        "pillow": PIL.__version__,
        "simplejpeg": simplejpeg.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    today = datetime.now(UTC).date()
    return f"{today}, {processor()}, one thread\n{listed}\nCPU ms per picture, median of rounds"


def measure(side: int, arguments: argparse.Namespace) -> str:
    files = [jpeg(side, k, arguments.photos) for k in range(arguments.pictures)]
    ours: list[float] = []
    pillows: list[float] = []
    with_pillow(files[0])
    with_beholder(files[0])
    for _ in range(arguments.rounds):
        pillows.append(cpu_ms(with_pillow, files))
        ours.append(cpu_ms(with_beholder, files))
    ratio = statistics.median(p / o for p, o in zip(pillows, ours, strict=True))
    mean, largest = difference(files)
    return (
        f"{side} x {side} ({len(files[0]) // 1024} KiB): Pillow {statistics.median(pillows):.2f}, "
        f"beholder {statistics.median(ours):.2f}, {ratio:.2f} times as fast "
        f"(rounds {min_max(pillows, ours)}); grey levels apart: mean {mean:.4f}, max {largest:.0f}"
    )


def min_max(pillows: list[float], ours: list[float]) -> str:
    ratios = [p / o for p, o in zip(pillows, ours, strict=True)]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def cpu_ms(work: Callable[[bytes], object], files: list[bytes]) -> float:
    start = time.process_time()
    for data in files:
        work(data)
    return (time.process_time() - start) * 1000 / len(files)


def with_pillow(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def with_beholder(data: bytes) -> torch.Tensor:
    return FIT.shrink(read_image(data)[None])


def difference(files: list[bytes]) -> tuple[float, float]:
    apart = np.stack(
        [
            np.abs(np.asarray(with_pillow(data), dtype=np.float64) - grey_levels(data))
            for data in files
        ]
    )
    return float(apart.mean()), float(apart.max().round())


def grey_levels(data: bytes) -> Resized:
    values: Resized = with_beholder(data)[0].permute(1, 2, 0).double().numpy()
    return values


def jpeg(side: int, seed: int, photos: Path | None) -> bytes:
    image = crop(sorted(photos.iterdir())[seed], side) if photos else made_up(side, seed)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def crop(path: Path, side: int) -> Image.Image:
    with Image.open(path) as image:
        scale = side / min(image.size)
        size = [max(side, round(edge * scale)) for edge in image.size]
        return image.convert("RGB").resize((size[0], size[1])).crop((0, 0, side, side))


def made_up(side: int, seed: int) -> Image.Image:
    """Noise at several scales: detail and file size like those of a photograph."""
    generator = np.random.default_rng(seed)
    total = np.zeros((side, side, 3))
    for cells in (4, 16, 64, 256):
        noise = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
        total += np.asarray(layer, dtype=np.float64) / cells**0.5
    total *= 255 / total.max()
    return Image.fromarray(total.astype(np.uint8)).filter(ImageFilter.SHARPEN)


if __name__ == "__main__":
    main()
