"""Things to put into a scene: photographs without background, with their names.

They are those of Debian's package tuxpaint-stamps-default (GPL-2): used where it is installed,
never shipped. Without it, shapes are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from beholder.annotation.sources._scenes.nouns import head, noun_phrase
from beholder.annotation.sources._scenes.pixels import FORMATS, to_picture, to_values
from beholder.annotation.sources._scenes.shapes import SHAPES, drawn
from beholder.annotation.sources._scenes.splits import split_of

STAMPS = Path("/usr/share/tuxpaint/stamps")
"""Where the package puts its pictures."""

COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (214, 24, 30),
        "yellow": (244, 206, 24),
        "green": (34, 150, 54),
        "blue": (30, 84, 214),
        "purple": (138, 44, 184),
    }
)
"""What a cut-out can be tinted with."""

_LONGEST = 320
_SHORTEST = 80
_MOST_ASPECT = 3.2
_LEAST_SOLID = 0.22
_NO_PHOTOGRAPHS = frozenset(
    {"cartoon", "symbols", "toys", "clothes", "halloween", "hanukkah", "easter", "newyears"}
    | {"naturalforces", "flags", "roadsigns", "people", "planets"}
)
"""Folders of drawings, or of what cannot stand in a scene."""

_DRAWN = frozenset(
    {"hedgehog", "pizza", "Santa", "star", "tree", "candy_cane", "tooth", "highlighter", "bee"}
    | {"sedan_police", "glass", "rugby_goal_posts", "inukshuk-outline", "final-roll-call"}
    | {"paratrooper", "voyager2"}
)
"""The same in other folders."""

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "beetle": "car",
        "bluegroper": "groper",
        "bolsom": "flower",
        "chemparathi": "hibiscus flower",
        "chineseJunk": "sailing ship",
        "corn": "corn cob",
        "dumper": "dumper truck",
        "gnu-baby": "gnu",
        "gnu-baby-stand": "gnu",
        "Lightbulb": "light bulb",
        "moon_full": "moon",
        "orange_seville": "orange",
        "Roast_turkey": "roast turkey",
        "Mince_Pie": "pie",
        "Christmas_pudding": "christmas pudding",
        "toilet": "toilet",
        "uk_post_box": "post box",
        "walnutBoat": "sailboat",
        "wheelie_bin": "bin",
        "xanthia": "moth",
        "cep": "cep",
        "rambutan": "rambutan",
        "flower9": "flower",
        "australian_rules_football": "football",
        "whitestar-petunia": "petunia",
        "Strawberry2": "strawberry",
        "ww2_german_gun": "tank",
        "bradley": "tank",
    }
)
"""Of pictures whose caption does not simply name the thing."""


@dataclass(frozen=True, slots=True)
class CutOut:
    """A thing that can stand in a scene.

    Attributes:
        noun: what a prompt calls it, without article: "sports car".
        kind: things of one kind are too much alike to be taken for the wrong one.
        colour: the one that it has by nature, if a prompt may name it.
        file: where it lies; empty if it is drawn.
    """

    noun: str
    kind: str
    colour: str | None = None
    file: str = ""

    @property
    def split(self) -> str:
        """All things with the same head noun are in one split."""
        return split_of(head(self.noun))


@cache
def cutouts(root: Path) -> tuple[CutOut, ...]:
    """The photographs below `root`, in order, or drawn shapes if there are none."""
    stamps = [found for path in sorted(root.rglob("*.png")) if (found := _stamp(path, root))]
    return tuple(stamps or (CutOut(shape, kind=shape) for shape in SHAPES))


@lru_cache(maxsize=2048)
def cut_out(thing: CutOut, colour: str | None = None) -> Image.Image:
    """The thing in RGBA, no longer than 320 pixels and without empty margin; tinted if asked."""
    picture = _opened(thing.file) if thing.file else drawn(thing.noun)
    return _tinted(picture, COLOURS[colour]) if colour else picture


def _stamp(path: Path, root: Path) -> CutOut | None:
    folders = path.relative_to(root).parts[:-1]
    if _NO_PHOTOGRAPHS & set(folders) or path.stem in _DRAWN or path.stem.endswith("_mirror"):
        return None
    phrase = (name, None) if (name := _NAMES.get(path.stem)) else noun_phrase(_caption(path))
    if phrase is None or not _is_usable(path):
        return None
    noun, colour = phrase
    by_nature = colour if colour in COLOURS and "animals" not in folders else None
    return CutOut(noun, "/".join(folders), by_nature, str(path))


def _caption(path: Path) -> str:
    text = path.with_suffix(".txt")
    return text.read_text(encoding="utf-8").split("\n", 1)[0] if text.is_file() else ""


def _is_usable(path: Path) -> bool:
    """Whether it is large and solid enough to be seen; a long thin one hides what is behind."""
    with Image.open(path, formats=FORMATS) as opened:
        if max(opened.size) < _SHORTEST:
            return False
    picture = _opened(str(path))
    width, height = picture.size
    is_long = max(width, height) > _MOST_ASPECT * min(width, height)
    return not is_long and float(np.mean(np.asarray(picture)[..., 3] > 200)) > _LEAST_SOLID


@lru_cache(maxsize=1024)
def _opened(file: str) -> Image.Image:
    with Image.open(file, formats=FORMATS) as opened:
        whole = opened.convert("RGBA")
    picture = whole.crop(whole.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox())
    picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    return picture


def _tinted(picture: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Every pixel in one hue: black to the colour to white, with the lightness of the picture."""
    values = to_values(picture) / 255
    alpha = values[..., 3]
    light = values[..., :3] @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    middle = float((light * alpha).sum() / alpha.sum())
    light = np.clip(0.5 + 0.75 * (light - middle), 0.12, 0.92)[..., None]
    full = np.array(colour, dtype=np.float32) / 255
    rgb = np.where(light < 0.5, 2 * light * full, full + (2 * light - 1) * 0.75 * (1 - full))
    pixels = np.concatenate([rgb, alpha[..., None]], axis=2)
    return to_picture(pixels * 255)
