import colorsys
from pathlib import Path

import numpy as np
import pytest

from beholder.annotation.sources._scenes.cutouts import (
    COLOURS,
    STAMPS,
    CutOut,
    cut_out,
    cutouts,
)
from beholder.annotation.sources._scenes.shapes import SHAPES
from beholder.annotation.sources._scenes.splits import SPLITS
from tests.annotation.sources._scenes.material import write_stamp


def test_photographs_are_named_by_their_captions_and_drawings_left_out(tmp_path: Path) -> None:
    write_stamp(tmp_path / "animals/cats/tiger.png", "A tiger.")
    write_stamp(tmp_path / "animals/kangaroo.png", "A red kangaroo.")
    write_stamp(tmp_path / "food/fruit/apple.png", "A red apple.")
    write_stamp(tmp_path / "food/fruit/cartoon/pear.png", "A pear.")
    write_stamp(tmp_path / "food/fruit/pear_mirror.png", "A pear.")
    write_stamp(tmp_path / "food/nut.png", "A walnut.", side=40)
    write_stamp(tmp_path / "food/many.png", "Some nuts.")
    assert [(c.noun, c.kind, c.colour) for c in cutouts(tmp_path)] == [
        ("tiger", "animals/cats", None),
        ("kangaroo", "animals", None),
        ("apple", "food/fruit", "red"),
    ]


def test_shapes_are_drawn_where_there_are_no_photographs(tmp_path: Path) -> None:
    found = cutouts(tmp_path)
    assert [c.noun for c in found] == list(SHAPES)
    assert not any(c.file for c in found)


def test_things_of_one_head_share_a_split() -> None:
    assert CutOut("tiger", "a").split == CutOut("sumatran tiger", "b").split


def test_a_cut_out_has_no_empty_margin(tmp_path: Path) -> None:
    write_stamp(tmp_path / "ball.png", "A ball.", side=100)
    (ball,) = cutouts(tmp_path)
    assert cut_out(ball).size == (80, 80)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_tinted_thing_has_one_hue_and_its_own_outline(colour: str) -> None:
    plain, tinted = (cut_out(CutOut("star", "star"), c) for c in (None, colour))
    assert tinted.getchannel("A").tobytes() == plain.getchannel("A").tobytes()
    pixels = np.asarray(tinted)
    red, green, blue = pixels[pixels[..., 3] == 255][:, :3].mean(axis=0) / 255
    hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    wanted, _, _ = colorsys.rgb_to_hsv(*(channel / 255 for channel in COLOURS[colour]))
    assert abs((hue - wanted + 0.5) % 1 - 0.5) < 0.02
    assert saturation > 0.4


@pytest.mark.skipif(not STAMPS.is_dir(), reason="tuxpaint-stamps-default is not installed")
def test_the_package_gives_some_two_hundred_things_in_all_splits() -> None:
    found = cutouts(STAMPS)
    assert len(found) > 180
    assert all(sum(c.split == split for c in found) > 20 for split in SPLITS)
    assert {"tiger", "elephant", "violin", "sailboat"} <= {c.noun for c in found}
