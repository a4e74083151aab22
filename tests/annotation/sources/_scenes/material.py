"""Things and photographs that need no package: drawn ones, of known names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beholder.annotation.sources._scenes import cutouts, photographs
from beholder.annotation.sources._scenes.layout import Group, Thing
from beholder.annotation.sources._scenes.splits import SPLITS, split_of


def write_photographs(folder: Path, each: int = 2) -> Path:
    """`each` coloured textures of every split, 160 x 120 pixels."""
    folder.mkdir(parents=True)
    missing = dict.fromkeys(SPLITS, each)
    rng = np.random.default_rng(0)
    number = 0
    while any(missing.values()):
        name = f"texture-{number}.png"
        number += 1
        if missing[split_of(name)]:
            missing[split_of(name)] -= 1
            coarse = rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((160, 120)).save(folder / name)
    return folder


def without_packages(monkeypatch: pytest.MonkeyPatch, empty: Path) -> None:
    """As if neither cut-outs nor photographs were installed."""
    monkeypatch.setattr(cutouts, "STAMPS", empty / "no-stamps")
    monkeypatch.setattr(photographs, "WALLPAPERS", empty / "no-wallpapers")
    monkeypatch.setattr(photographs, "_IN_PACKAGES", {})


def write_stamp(file: Path, caption: str, side: int = 100) -> None:
    """A brown disc on nothing, with its caption beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    pixels = np.zeros((side, side, 4), dtype=np.uint8)
    pixels[np.hypot(y, x) < 0.4 * side] = (120, 80, 40, 255)
    Image.fromarray(pixels).save(file)
    file.with_suffix(".txt").write_text(f"{caption}\nde.utf8=Ein Ding.\n", encoding="utf-8")


def group(
    noun: str = "star",
    *,
    count: int = 1,
    colour: str | None = None,
    size: str | None = None,
    place: str = "middle",
    x: float = 0.5,
    y: float = 0.5,
    extent: float = 0.4,
) -> Group:
    """Drawn shapes, upright, side by side around (x, y)."""
    things = [
        Thing(x + extent * (k - (count - 1) / 2), y, extent, turn=0.0, mirrored=False)
        for k in range(count)
    ]
    what = cutouts.CutOut(noun, kind=noun)
    return Group(what, colour, colour, size, place, things)
