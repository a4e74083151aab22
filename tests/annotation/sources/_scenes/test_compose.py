import numpy as np
from PIL import Image

from beholder.annotation.sources._scenes.compose import compose
from tests.annotation.sources._scenes.material import group


def test_things_are_pasted_where_they_were_laid() -> None:
    picture = Image.new("RGB", (100, 100), "white")
    placed = compose(picture, [group("square", count=2, colour="blue", x=0.5, y=0.3, extent=0.2)])
    assert [one.group for one in placed] == [0, 0]
    for one, x in zip(placed, (0.4, 0.6), strict=True):
        rows, columns = np.nonzero(one.cover(100) > 0.5)
        assert abs(rows.mean() - 29.5) < 1
        assert abs(columns.mean() - (100 * x - 0.5)) < 1
        assert abs(np.ptp(columns) + 1 - 20) <= 1


def test_only_what_is_covered_or_in_shadow_changes() -> None:
    picture = Image.new("RGB", (100, 100), "white")
    (one,) = compose(picture, [group("circle", colour="red", extent=0.3)])
    pixels = np.asarray(picture).astype(int)
    cover = one.cover(100)
    red, green, _ = pixels[cover == 1].mean(axis=0)
    assert red > 2 * green
    shadow = (pixels != 255).any(axis=2) & (cover == 0)
    assert shadow.any()
    assert (np.ptp(pixels[shadow], axis=1) == 0).all()  # grey
    assert (pixels[:20] == 255).all()


def test_what_leaves_the_picture_is_cut_off() -> None:
    picture = Image.new("RGB", (100, 100), "white")
    (one,) = compose(picture, [group("circle", x=0.0, extent=0.4)])
    assert abs(float(one.cover(100).sum()) - np.pi * 400 / 2) < 60
