"""Pictures with a known content: photographs out of packages with one drawn object.

The prompt names what the photograph shows, and the object's colour, shape and place. Photographs
are shared out: pictures for the held-out test come from photographs that training never saw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from beholder.errors import MissingDependencyError

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""One picture, (h, w, 3)."""

SIDE = 256
"""Height and width of every picture, in pixels."""

_FINER = 4


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph that an installed package ships.

    Attributes:
        noun: what a prompt calls it.
        package, file: the package, and the path of the file inside it.
        held_out: whether it is kept for the test.
    """

    noun: str
    package: str
    file: str
    held_out: bool = False


PHOTOGRAPHS = (
    Photograph("a cat", "skimage", "data/chelsea.png"),
    Photograph("a rocket", "skimage", "data/rocket.jpg"),
    Photograph("an astronaut", "skimage", "data/astronaut.png"),
    Photograph("a motorcycle", "skimage", "data/motorcycle_left.png"),
    Photograph("distant galaxies", "skimage", "data/hubble_deep_field.jpg"),
    Photograph("a retina", "skimage", "data/retina.jpg"),
    Photograph("stained tissue", "skimage", "data/ihc.png"),
    Photograph("a man with a camera", "skimage", "data/camera.png"),
    Photograph("a brick wall", "skimage", "data/brick.png"),
    Photograph("grass", "skimage", "data/grass.png"),
    Photograph("gravel", "skimage", "data/gravel.png"),
    Photograph("old coins", "skimage", "data/coins.png"),
    Photograph("a cup of coffee", "skimage", "data/coffee.png", held_out=True),
    Photograph("a palace", "sklearn", "datasets/images/china.jpg", held_out=True),
    Photograph("a flower", "sklearn", "datasets/images/flower.jpg", held_out=True),
)

COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (222, 26, 32),
        "yellow": (252, 216, 22),
        "green": (30, 158, 58),
        "blue": (28, 74, 214),
        "pink": (246, 92, 186),
    }
)
SHAPES = ("circle", "square", "triangle", "star")
PLACES: Mapping[str, float] = MappingProxyType(
    {"up high": 0.25, "in the middle": 0.5, "down low": 0.75}
)
"""Place -> how far down its middle lies, as a share of the picture's height.

Left and right are no places: the text tower hardly tells the two words apart.
"""


@dataclass(frozen=True, slots=True)
class Thing:
    """The drawn object: names out of COLOURS, SHAPES and PLACES."""

    colour: str
    shape: str
    place: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What one prompt asks for."""

    key: str
    photograph: Photograph
    thing: Thing

    @property
    def prompt(self) -> str:
        """The prompt, such as "a photo of a cat with a large red star up high"."""
        t = self.thing
        return f"a photo of {self.photograph.noun} with a large {t.colour} {t.shape} {t.place}"


def scenes(count: int, rng: np.random.Generator, *, held_out: bool) -> list[Scene]:
    """`count` scenes over the photographs of one part, evenly; things repeat as late as can be."""
    photographs = [p for p in PHOTOGRAPHS if p.held_out == held_out]
    decks = [iter(_deck(count // len(photographs) + 1, rng)) for _ in photographs]
    part = "test" if held_out else "train"
    return [
        Scene(f"{part}-{k:04d}", photographs[k % len(photographs)], next(decks[k % len(decks)]))
        for k in range(count)
    ]


def render(scene: Scene, thing: Thing, rng: np.random.Generator) -> Pixels:
    """A clean picture of the scene's photograph with `thing` drawn on it."""
    return draw(crop(load(scene.photograph), rng), thing, rng)


@cache
def load(photograph: Photograph) -> Image.Image:
    """The photograph in RGB; raises MissingDependencyError if its package is not installed."""
    spec = find_spec(photograph.package)
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "the quickstart takes its photographs from scikit-image and scikit-learn: "
            "pip install 'beholder[quickstart]'"
        )
    return Image.open(Path(spec.origin).parent / photograph.file).convert("RGB")


def crop(photograph: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A random square of SIDE pixels, half of them mirrored.

    Its side is 75 to 95 % of the photograph's shorter one.
    """
    side = float(rng.uniform(0.75, 0.95)) * min(photograph.size)
    left, top = (float(rng.uniform(0, length - side)) for length in photograph.size)
    box = (left, top, left + side, top + side)
    picture = photograph.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box, reducing_gap=3)
    return ImageOps.mirror(picture) if rng.random() < 0.5 else picture


def draw(picture: Image.Image, thing: Thing, rng: np.random.Generator) -> Pixels:
    """The picture with the thing on it: a soft shadow, a light outline, antialiased edges."""
    x, y = float(rng.uniform(0.25, 0.75)), PLACES[thing.place] + float(rng.uniform(-0.03, 0.03))
    radius = SIDE * float(rng.uniform(0.17, 0.21))
    middle = (x * SIDE, y * SIDE)
    turn = float(rng.uniform(-0.15, 0.15))
    body = _mask(thing.shape, middle, radius, turn)
    rim = _mask(thing.shape, middle, radius + 3.5, turn)
    shadow = rim.filter(ImageFilter.GaussianBlur(5)).point(lambda value: value // 2)
    for colour, mask in (
        ((0, 0, 0), shadow),
        ((250, 250, 250), rim),
        (COLOURS[thing.colour], body),
    ):
        picture.paste(colour, (0, 0), mask)
    return np.asarray(picture)


def _deck(count: int, rng: np.random.Generator) -> list[Thing]:
    every = [Thing(*names) for names in product(COLOURS, SHAPES, PLACES)]
    order = [k for _ in range(count // len(every) + 1) for k in rng.permutation(len(every))]
    return [every[k] for k in order[:count]]


def _mask(shape: str, middle: tuple[float, float], radius: float, turn: float) -> Image.Image:
    """Coverage of each pixel by the shape, 0 to 255, from a drawing four times finer."""
    mask = Image.new("L", (SIDE * _FINER, SIDE * _FINER))
    pen = ImageDraw.Draw(mask)
    x, y, r = (value * _FINER for value in (*middle, radius))
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
    else:
        pen.polygon([(x + r * u, y + r * v) for u, v in _corners(shape, turn)], fill=255)
    return mask.reduce(_FINER)


def _corners(shape: str, turn: float) -> Sequence[tuple[float, float]]:
    """Corners around (0, 0); the outermost lie about 1 away, a square's a little further."""
    if shape == "square":
        return _around(4, turn + math.pi / 4, [1.15])
    if shape == "triangle":
        return _around(3, turn, [1.1])
    return _around(10, turn, [1.15, 0.5])


def _around(count: int, turn: float, radii: Sequence[float]) -> list[tuple[float, float]]:
    angles = [turn - math.pi / 2 + 2 * math.pi * k / count for k in range(count)]
    return [
        (radii[k % len(radii)] * math.cos(a), radii[k % len(radii)] * math.sin(a))
        for k, a in enumerate(angles)
    ]
