"""Decode a JPEG and resize it to 224, 8-bit to the end: beside Pillow, in CPU time of one thread.

    python -m benchmarks.decode --sizes 512 1024 --rounds 9 --out benchmarks/results/decode.txt

Rounds are interleaved, so that a busy machine slows both; the ratio of each round is what counts.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from beholder.images import read_image
from beholder.rewards._preprocess import Preprocess
from benchmarks._options import heading, named, parser, tell
from benchmarks._record import Row, Spread
from benchmarks._rounds import interleaved

SIDE = 224
FIT = Preprocess(size=SIDE, fit="squash")
Resized = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    lines = [heading("pillow", "simplejpeg", "torch", "numpy"), "CPU ms per picture, medians"]
    rows = []
    for side in arguments.sizes:
        line, row = measure(side, arguments)
        lines.append(line)
        rows.append(row)
    tell(arguments, "\n".join(lines), rows)


def parse() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--sizes", type=int, nargs="+", default=[512, 1024], help="side, pixels")
    made.add_argument("--rounds", type=int, default=9, help="interleaved rounds")
    made.add_argument("--pictures", type=int, default=8, help="pictures of each size")
    made.add_argument("--photos", type=Path, help="folder of photographs; default: made up")
    return made.parse_args()


def measure(side: int, arguments: argparse.Namespace) -> tuple[str, Row]:
    files = [jpeg(side, k, arguments.photos) for k in range(arguments.pictures)]
    mean, largest = difference(files)  # also warms both up
    sides = {
        "Pillow": lambda: each(with_pillow, files),
        "beholder": lambda: each(with_beholder, files),
    }
    seconds = interleaved(sides, arguments.rounds)
    ratio = Spread.of_ratios(seconds["Pillow"], seconds["beholder"])
    agreement = f"grey levels apart: mean {mean:.4f}, max {largest:.0f}"
    row = Row(
        area="scoring",
        what=f"JPEG of {side}² decoded and shrunk to {SIDE}²",
        against="Pillow",
        ratio=ratio,
        peer=named("pillow"),
        agreement=agreement,
    )
    other, own = (1000 * Spread.of(seconds[name]).median / len(files) for name in sides)
    return (
        f"{side} x {side} ({len(files[0]) // 1024} KiB): Pillow {other:.2f}, beholder {own:.2f}, "
        f"{ratio.told()} times as fast; {agreement}"
    ), row


def each(work: Callable[[bytes], object], files: list[bytes]) -> None:
    for data in files:
        work(data)


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
