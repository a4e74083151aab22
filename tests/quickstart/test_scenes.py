from itertools import product

import numpy as np
import pytest
from PIL import Image

from beholder.errors import MissingDependencyError
from beholder.quickstart.scenes import (
    COLOURS,
    PHOTOGRAPHS,
    PLACES,
    SHAPES,
    SIDE,
    Photograph,
    Pixels,
    Scene,
    Thing,
    draw,
    load,
    render,
    scenes,
)


def colour_share(pixels: Pixels, colour: str, box: tuple[float, float, float, float]) -> float:
    """The share of pixels within a box (left, top, right, bottom; shares) of exactly a colour."""
    left, top, right, bottom = (round(value * SIDE) for value in box)
    inside = pixels[top:bottom, left:right]
    return float((inside == np.array(COLOURS[colour])).all(axis=2).mean())


@pytest.mark.parametrize(("colour", "shape", "place"), list(product(COLOURS, SHAPES, PLACES))[::7])
def test_the_thing_is_where_and_what_the_prompt_says(colour: str, shape: str, place: str) -> None:
    clean = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    pixels = draw(clean, Thing(colour, shape, place), np.random.default_rng(0))
    rows = np.flatnonzero((pixels == np.array(COLOURS[colour])).all(axis=2).any(axis=1))
    assert colour_share(pixels, colour, (0, 0, 1, 1)) > 0.03
    assert rows.mean() / SIDE == pytest.approx(PLACES[place], abs=0.1)
    assert min(PLACES, key=lambda name: abs(PLACES[name] - rows.mean() / SIDE)) == place
    for other in set(COLOURS) - {colour}:
        assert colour_share(pixels, other, (0, 0, 1, 1)) == 0


def test_shapes_are_large_and_cannot_be_confused() -> None:
    masks = {}
    for shape in SHAPES:
        canvas = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
        pixels = draw(canvas, Thing("blue", shape, "in the middle"), np.random.default_rng(3))
        masks[shape] = (pixels == np.array(COLOURS["blue"])).all(axis=2)
    radius = np.sqrt(masks["circle"].sum() / np.pi)
    assert 0.17 * SIDE - 1 <= radius <= 0.21 * SIDE + 1
    for one, other in product(SHAPES, SHAPES):
        if one < other:
            overlap = (masks[one] & masks[other]).sum() / (masks[one] | masks[other]).sum()
            assert overlap < 0.85


def test_edges_are_antialiased() -> None:
    canvas = Image.new("RGB", (SIDE, SIDE), (250, 250, 250))
    pixels = draw(canvas, Thing("blue", "circle", "in the middle"), np.random.default_rng(0))
    assert len(np.unique(pixels)) > 20


def test_prompt_names_photograph_and_thing() -> None:
    cat = Photograph("a cat", "skimage", "data/chelsea.png")
    scene = Scene("k", cat, Thing("red", "star", "up high"))
    assert scene.prompt == "a photo of a cat with a large red star up high"


def test_pictures_are_the_same_for_the_same_seed() -> None:
    def picture(seed: int) -> Pixels:
        rng = np.random.default_rng(seed)
        (scene,) = scenes(1, rng, held_out=False)
        return render(scene, scene.thing, rng)

    assert picture(5).shape == (SIDE, SIDE, 3)
    assert np.array_equal(picture(5), picture(5))
    assert not np.array_equal(picture(5), picture(6))


def test_held_out_photographs_are_never_trained_on() -> None:
    train = scenes(50, np.random.default_rng(0), held_out=False)
    test = scenes(50, np.random.default_rng(0), held_out=True)
    assert {s.photograph.file for s in train}.isdisjoint(s.photograph.file for s in test)
    assert len({s.photograph.file for s in test}) >= 3
    assert {s.key for s in train}.isdisjoint(s.key for s in test)
    assert {s.prompt for s in train}.isdisjoint(s.prompt for s in test)


def test_things_of_a_photograph_repeat_only_after_all_were_used() -> None:
    every = len(COLOURS) * len(SHAPES) * len(PLACES)
    count = sum(p.held_out for p in PHOTOGRAPHS) * every
    test = scenes(count, np.random.default_rng(1), held_out=True)
    assert len({s.prompt for s in test}) == count


def test_every_photograph_is_installed_and_large_enough() -> None:
    for photograph in PHOTOGRAPHS:
        picture = load(photograph)
        assert picture.mode == "RGB"
        assert min(picture.size) >= SIDE


def test_a_missing_package_is_named_with_its_cure() -> None:
    with pytest.raises(MissingDependencyError, match=r"beholder\[quickstart\]"):
        load(Photograph("a thing", "no_such_package", "x.png"))
