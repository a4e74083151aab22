"""Photographs that scenes stand on, of installed packages and a folder of the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageOps

from beholder.annotation.sources._scenes.pixels import FORMATS
from beholder.annotation.sources._scenes.splits import split_of
from beholder.errors import MissingDependencyError

WALLPAPERS = Path("/usr/share/backgrounds/mate/nature")
"""Where Debian's package mate-backgrounds (GPL-2+) puts its photographs of nature."""

_IN_PACKAGES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "astronaut.png",
                "brick.png",
                "chelsea.png",
                "coffee.png",
                "coins.png",
                "grass.png",
                "gravel.png",
                "hubble_deep_field.jpg",
                "ihc.png",
                "motorcycle_left.png",
                "retina.jpg",
                "rocket.jpg",
            ),
            "skimage/data",
        ),
        "china.jpg": "sklearn/datasets/images",
        "flower.jpg": "sklearn/datasets/images",
    }
)
_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "brick.png": "in front of a brick wall",
        "grass.png": "on grass",
        "gravel.png": "on gravel",
        "hubble_deep_field.jpg": "in front of distant galaxies",
        "Dune.jpg": "in front of a dune",
        "Garden.jpg": "in a garden",
        "Wood.jpg": "in front of wood",
        "RainDrops.jpg": "on a wet leaf",
    }
)
"""What holds of every part of a photograph, as a prompt may say it."""

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_FINEST = 2.5


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph: where it lies, and what a prompt may say of any part of it."""

    file: str
    setting: str | None = None

    @property
    def name(self) -> str:
        """The name of its file."""
        return Path(self.file).name

    @property
    def split(self) -> str:
        """By the name of its file."""
        return split_of(self.name)


@cache
def photographs(folder: Path | None) -> tuple[Photograph, ...]:
    """All that are installed, and those below `folder`; MissingDependencyError if a split lacks."""
    files = [*_packaged(), *_below(WALLPAPERS), *(_below(folder) if folder else ())]
    found = tuple(Photograph(str(file), _SETTINGS.get(file.name)) for file in files)
    if len({photograph.split for photograph in found}) < 3:
        raise MissingDependencyError(
            "scenes stand on the photographs of scikit-image and scikit-learn: "
            "pip install 'beholder[quickstart]'"
        )
    return found


def background(photograph: Photograph, size: int, rng: np.random.Generator) -> Image.Image:
    """A random square part of it, `size` pixels high and wide, mirrored in half of the cases."""
    picture = _opened(photograph.file, size)
    shorter = min(picture.size)
    side = float(rng.uniform(min(size, 0.95 * shorter), shorter))
    left, top = (float(rng.uniform(0, length - side)) for length in picture.size)
    box = (left, top, left + side, top + side)
    part = picture.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return ImageOps.mirror(part) if rng.random() < 0.5 else part


def _packaged() -> list[Path]:
    places = {folder: _package_folder(folder) for folder in set(_IN_PACKAGES.values())}
    files = [(places[folder], name) for name, folder in _IN_PACKAGES.items()]
    return [place / name for place, name in files if place and (place / name).is_file()]


def _package_folder(folder: str) -> Path | None:
    package, _, below = folder.partition("/")
    spec = find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / below


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


@lru_cache(maxsize=512)
def _opened(file: str, size: int) -> Image.Image:
    """In RGB, no finer than a crop of it can show."""
    with Image.open(file, formats=FORMATS) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    shrunk = _FINEST * size / min(picture.size)
    if shrunk < 1:
        width, height = (max(1, round(length * shrunk)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return picture
