"""Odd and broken pictures: what people's folders really hold, each with what must come of it."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
HEIGHT, WIDTH = 32, 48
ORIENTATION = 0x0112


@dataclass(frozen=True)
class OddPicture:
    """A file in the folder; `code` is its error, `twin` a plain file with the same pixels."""

    name: str
    must_score: bool
    code: str | None = None
    twin: str | None = None


def good(name: str, twin: str | None = None) -> OddPicture:
    return OddPicture(name, must_score=True, twin=twin)


def bad(name: str, code: str) -> OddPicture:
    return OddPicture(name, must_score=False, code=code)


def write_odd_pictures(folder: Path) -> list[OddPicture]:
    """Write them all; the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    groups: tuple[Callable[[Path], list[OddPicture]], ...] = (
        plain_pictures,
        deep_pngs,
        transparent_pictures,
        turned_pictures,
        jpegs,
        animations,
        odd_sizes,
        odd_names,
        cut_pictures,
        damaged_pictures,
        things_that_are_no_pictures,
        things_that_are_no_files,
        pictures_over_a_limit,
    )
    return [picture for write in groups for picture in write(folder)]


def photo() -> Pixels:
    """A smooth picture with a hard edge and a different gradient in each channel."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    channels = [x * 5, y * 7, (x + 2 * y) * 2 + 40 * (x > 20)]
    return np.stack(channels, axis=2).clip(0, 255).astype(np.uint8)


def grey_photo() -> Pixels:
    return photo()[:, :, 0]


def save(folder: Path, name: str, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(folder / name)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes, interlace: int = 0) -> bytes:
    """A PNG file from its filtered rows, for kinds that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, data) for name, data in chunks)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def unfiltered(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in values)


def plain_pictures(folder: Path) -> list[OddPicture]:
    save(folder, "plain.png", photo())
    save(folder, "plain-grey.png", grey_photo())
    save(folder, "plain.bmp", photo())
    Image.fromarray(photo()).save(folder / "lossless.webp", lossless=True)
    bitmap = encoded(Image.fromarray(photo()[::-1].copy()), "BMP")
    upside_down = bitmap[:22] + struct.pack("<i", -HEIGHT) + bitmap[26:]
    (folder / "top-down.bmp").write_bytes(upside_down)
    return [
        good("plain.png"),
        good("plain-grey.png"),
        good("plain.bmp", "plain.png"),
        good("lossless.webp", "plain.png"),
        good("top-down.bmp", "plain.png"),
    ]


def deep_pngs(folder: Path) -> list[OddPicture]:
    wide = photo().astype(">u2") * 257
    (folder / "16-bit.png").write_bytes(png(WIDTH, HEIGHT, 16, 2, unfiltered(wide)))
    (folder / "16-bit-grey.png").write_bytes(png(WIDTH, HEIGHT, 16, 0, unfiltered(wide[:, :, 0])))
    (folder / "interlaced.png").write_bytes(png(WIDTH, HEIGHT, 8, 2, adam7(photo()), interlace=1))
    black_and_white = np.where(grey_photo() > 99, 255, 0).astype(np.uint8)
    save(folder, "plain-black-white.png", black_and_white)
    Image.fromarray(black_and_white).convert("1").save(folder / "1-bit.png")
    palette = Image.fromarray(photo()).quantize(32)
    palette.save(folder / "palette.png")
    palette.save(folder / "palette.bmp")
    palette.convert("RGB").save(folder / "plain-palette.png")
    return [
        good("16-bit.png", "plain.png"),
        good("16-bit-grey.png", "plain-grey.png"),
        good("interlaced.png", "plain.png"),
        good("1-bit.png", "plain-black-white.png"),
        good("palette.png", "plain-palette.png"),
        good("palette.bmp", "plain-palette.png"),
    ]


def adam7(pixels: Pixels) -> bytes:
    """The rows of the seven passes of an interlaced PNG."""
    steps = (
        (slice(0, None, 8), slice(0, None, 8)),
        (slice(0, None, 8), slice(4, None, 8)),
        (slice(4, None, 8), slice(0, None, 4)),
        (slice(0, None, 4), slice(2, None, 4)),
        (slice(2, None, 4), slice(0, None, 2)),
        (slice(0, None, 2), slice(1, None, 2)),
        (slice(1, None, 2), slice(0, None, 1)),
    )
    return b"".join(unfiltered(pixels[rows, columns]) for rows, columns in steps)


def transparent_pictures(folder: Path) -> list[OddPicture]:
    alpha = np.linspace(0, 255, WIDTH).round().astype(np.uint8)[None].repeat(HEIGHT, axis=0)
    save(folder, "alpha.png", np.dstack([photo(), alpha]))
    save(folder, "alpha-on-white.png", on_white(photo(), alpha))
    Image.fromarray(np.dstack([grey_photo(), alpha]), "LA").save(folder / "grey-alpha.png")
    save(folder, "grey-alpha-on-white.png", on_white(grey_photo()[:, :, None], alpha)[:, :, 0])
    palette = Image.fromarray(photo()).quantize(32)
    hidden = (np.array(palette) == 0) | (np.array(palette) == 3)
    shown = on_white(np.array(palette.convert("RGB")), np.where(hidden, 0, 255))
    palette.save(folder / "palette-alpha.png", transparency=b"\0\xff\xff\0")
    save(folder, "palette-on-white.png", shown)
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8) + np.array([200, 10, 10], np.uint8)
    red[:, :5] = 0
    Image.fromarray(red).save(folder / "colour-key.png", transparency=(200, 10, 10))
    red[:, 5:] = 255
    save(folder, "colour-key-on-white.png", red)
    return [
        good("alpha-on-white.png"),
        good("alpha.png", "alpha-on-white.png"),
        good("grey-alpha.png", "grey-alpha-on-white.png"),
        good("palette-alpha.png", "palette-on-white.png"),
        good("colour-key.png", "colour-key-on-white.png"),
    ]


def on_white(colour: Pixels, alpha: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Pixels:
    share = np.asarray(alpha, dtype=np.float64)[:, :, None] / 255
    return np.rint(colour * share + 255 * (1 - share)).astype(np.uint8)


def turned_pictures(folder: Path) -> list[OddPicture]:
    """Stored turned or mirrored, with the EXIF number that undoes it: EXIF 2.32, page 37."""
    upright = photo()
    stored = {
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    for number, pixels in stored.items():
        exif = Image.Exif()
        exif[ORIENTATION] = number
        Image.fromarray(pixels.copy()).save(folder / f"exif-{number}.png", exif=exif)
    exif[ORIENTATION] = 6
    turned = encoded(Image.fromarray(stored[6].copy()), "JPEG", quality=90, exif=exif)
    (folder / "exif-6.jpg").write_bytes(turned)
    decoded = np.array(Image.open(io.BytesIO(turned)))
    save(folder, "exif-6-upright.png", np.rot90(decoded, -1).copy())
    pngs = [good(f"exif-{number}.png", "plain.png") for number in stored]
    return [*pngs, good("exif-6.jpg", "exif-6-upright.png")]


def jpegs(folder: Path) -> list[OddPicture]:
    image = Image.fromarray(photo())
    data = encoded(image, "JPEG", quality=90)
    files = {
        "plain.jpg": data,
        "trailing-bytes.jpg": data + bytes(500),
        "broken-exif.jpg": encoded(image, "JPEG", quality=90, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff"),
        "png-by-name.png": data,
        "progressive.jpg": encoded(image, "JPEG", quality=90, progressive=True),
        "grey.jpg": encoded(image.convert("L"), "JPEG", quality=90),
        "cmyk.jpg": encoded(image.convert("CMYK"), "JPEG", quality=90),
        "two-in-one.jpg": encoded(image, "MPO", quality=90, save_all=True, append_images=[image]),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for name in ("plain", "grey", "cmyk"):
        with Image.open(folder / f"{name}.jpg") as decoded:
            decoded.convert("RGB").save(folder / f"{name}-jpg.png")
    return [
        *(good(name, "plain-jpg.png") for name in files if name not in {"grey.jpg", "cmyk.jpg"}),
        good("grey.jpg", "grey-jpg.png"),
        good("cmyk.jpg", "cmyk-jpg.png"),
    ]


def animations(folder: Path) -> list[OddPicture]:
    frames = [Image.fromarray(pixels) for pixels in (photo(), 255 - photo())]
    frames[0].save(folder / "animated.png", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "animated.webp", save_all=True, append_images=frames[1:], lossless=True)
    palettes = [frame.quantize(32) for frame in frames]
    palettes[0].save(folder / "animated.gif", save_all=True, append_images=palettes[1:])
    palettes[0].save(folder / "transparent.gif", transparency=palettes[0].getpixel((0, 0)))
    with Image.open(folder / "transparent.gif") as image:
        shown = np.array(image.convert("RGBA"))
    save(folder, "transparent-gif-on-white.png", on_white(shown[:, :, :3], shown[:, :, 3]))
    return [
        good("animated.webp", "plain.png"),
        good("animated.png", "plain.png"),
        good("animated.gif", "plain-palette.png"),
        good("transparent.gif", "transparent-gif-on-white.png"),
    ]


def odd_sizes(folder: Path) -> list[OddPicture]:
    save(folder, "one-pixel.png", photo()[:1, :1])
    save(folder, "strip.png", np.full((400, 2, 3), 80, np.uint8))
    return [good("one-pixel.png"), good("strip.png")]


def odd_names(folder: Path) -> list[OddPicture]:
    names = (
        "ünï 图 .png",
        'it\'s "quoted".png',
        "line\nbreak.png",
        "UPPER.PNG",
        "jpeg-by-name.jpg",
    )
    for name in names:
        save_as_png(folder / name)
    (folder / "link.png").symlink_to("plain.png")
    return [good(name, "plain.png") for name in (*names, "link.png")]


def save_as_png(path: Path) -> None:
    path.write_bytes(encoded(Image.fromarray(photo()), "PNG"))


def cut_pictures(folder: Path) -> list[OddPicture]:
    image = Image.fromarray(photo())
    for kind, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("GIF", "gif"), ("BMP", "bmp")):
        data = encoded(image, kind)
        (folder / f"cut.{suffix}").write_bytes(data[: len(data) * 2 // 3])
    webp = encoded(image, "WEBP", lossless=True)
    (folder / "cut.webp").write_bytes(webp[: len(webp) // 2])
    (folder / "no-end.jpg").write_bytes(encoded(image, "JPEG")[:-2])
    (folder / "no-end.png").write_bytes(encoded(image, "PNG")[:-12])
    (folder / "no-end-cmyk.jpg").write_bytes(encoded(image.convert("CMYK"), "JPEG")[:-2])
    names = ("cut.jpg", "cut.png", "cut.gif", "cut.bmp", "no-end.jpg", "no-end.png")
    truncated = [bad(name, "truncated") for name in (*names, "no-end-cmyk.jpg")]
    return [*truncated, bad("cut.webp", "corrupt")]


def damaged_pictures(folder: Path) -> list[OddPicture]:
    image = Image.fromarray(photo())
    jpeg, pixels = bytearray(encoded(image, "JPEG")), bytearray(encoded(image, "PNG"))
    jpeg[-60:-40] = b"\xff\xaa" * 10
    (folder / "damaged.jpg").write_bytes(jpeg)
    start = pixels.index(b"IDAT") + 30
    pixels[start : start + 40] = bytes(40)
    (folder / "damaged.png").write_bytes(pixels)
    (folder / "no-pixels.png").write_bytes(png(0, 0, 8, 2, b""))
    (folder / "magic-only.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"IEND" + bytes(40))
    names = ("damaged.jpg", "no-pixels.png", "magic-only.png")
    return [*(bad(name, "corrupt") for name in names), bad("damaged.png", "truncated")]


def things_that_are_no_pictures(folder: Path) -> list[OddPicture]:
    contents = {
        "page.jpg": b"<!DOCTYPE html><html><body>secret-token</body></html>",
        "pointer.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "phone.jpg": b"\0\0\0\x18ftypheic" + bytes(100),
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "scan.png": encoded(Image.fromarray(photo()), "TIFF"),
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "noise.png": bytes(range(256)),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "empty.png").write_bytes(b"")
    return [*(bad(name, "format") for name in contents), bad("empty.png", "empty")]


def things_that_are_no_files(folder: Path) -> list[OddPicture]:
    (folder / "folder.png").mkdir(exist_ok=True)
    os.mkfifo(folder / "pipe.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "circle.png").symlink_to("circle.png")
    return [
        *(bad(name, "not-a-file") for name in ("folder.png", "pipe.png", "device.png")),
        *(bad(name, "missing") for name in ("dangling.png", "never-written.png")),
        bad("circle.png", "unreadable"),
    ]


def pictures_over_a_limit(folder: Path) -> list[OddPicture]:
    side = 12_000
    bomb = png(side, side, 1, 0, bytes(side * (side // 8 + 1)))
    (folder / "bomb.png").write_bytes(bomb)
    (folder / "bigger-bomb.png").write_bytes(png(60_000, 60_000, 1, 0, b""))
    (folder / "too-wide.png").write_bytes(png(16_385, 100, 1, 0, bytes(100 * 2050)))
    (folder / "hair.png").write_bytes(png(1, 8000, 8, 0, bytes(2 * 8000)))
    with (folder / "heavy.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(64 * 2**20 + 1)
    names = ("bomb.png", "bigger-bomb.png", "too-wide.png", "heavy.png")
    return [*(bad(name, "too-large") for name in names), bad("hair.png", "aspect")]
