from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from beholder._page.feedback import FILL, MARK, PictureFeedback
from beholder._page.poster import GAP, MARGIN, draw_grid, draw_poster, save_png
from beholder._page.thumbnails import fault_picture
from beholder.errors import DataError
from tests._page.feedbacks import said_of
from tests._page.photographs import HOSTILE, LONG

SIDE = 180
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def panel(poster: Image.Image, column: int) -> Pixels:
    """The pixels of a 60 x 40 picture that fills a panel of 180 x 120."""
    left = MARGIN + column * (SIDE + GAP)
    return np.asarray(poster.crop((left, MARGIN, left + SIDE, MARGIN + 120)))


def drawn(said: PictureFeedback) -> Image.Image:
    return draw_poster(said, side=SIDE)


def count(picture: Image.Image, colour: str) -> int:
    return int((np.asarray(picture) == ImageColor.getrgb(colour)).all(-1).sum())


def test_a_map_of_zeros_leaves_the_picture_untouched() -> None:
    poster = drawn(said_of("a red fox"))
    assert (panel(poster, 0) == 128).all()
    assert (panel(poster, 2) == 128).all()


def test_a_map_is_stretched_over_the_whole_picture_in_absolute_colours() -> None:
    marked = torch.tensor([[0.0, 0.5], [0.0, 0.5]]).repeat_interleave(60, 1)
    poster = drawn(replace(said_of("a fox"), maps={"implausibility": marked}))
    shown = panel(poster, 1)
    assert (shown[:, :80] == 128).all()
    expected = Image.new("RGBA", (1, 1), (128, 128, 128))
    expected.alpha_composite(fault_picture(torch.tensor([[0.5]]), (1, 1)).convert("RGBA"))
    assert tuple(shown[60, 160]) == expected.convert("RGB").getpixel((0, 0))


def test_bars_are_as_long_as_their_scores() -> None:
    empty = count(drawn(said_of("a fox", scores=(0.0, 0.0, 0.0, 0.0))), FILL)
    half = count(drawn(said_of("a fox", scores=(0.5, 0.0, 0.0, 0.0))), FILL)
    whole = count(drawn(said_of("a fox", scores=(1.0, 0.0, 0.0, 0.0))), FILL)
    assert 0 <= empty < half
    assert (half - empty) / (whole - empty) == pytest.approx(0.5, abs=0.01)
    unknown = drawn(said_of("a fox", scores=(float("nan"), 0.0, 0.0, 0.0)))
    assert count(unknown, FILL) <= empty


def test_misaligned_words_are_struck_through() -> None:
    none = count(drawn(said_of("a red fox", p_misaligned=[0.5])), MARK)
    one = count(drawn(said_of("a red fox", p_misaligned=[0.5, 0.51, 0.5])), MARK)
    all_three = count(drawn(said_of("a red fox", p_misaligned=[0.51])), MARK)
    assert none == 0
    assert 0 < one < all_three


def test_a_long_prompt_makes_the_poster_higher_not_wider() -> None:
    short, long = drawn(said_of("a fox")), drawn(said_of(LONG))
    assert long.width == short.width == 2 * MARGIN + 3 * SIDE + 2 * GAP
    assert long.height > 2 * short.height


def test_the_truth_adds_panels_and_a_second_prompt() -> None:
    said = said_of("a red fox", p_misaligned=[0.0])
    both = said.beside(said_of("a red fox", p_misaligned=[1.0]))
    poster = drawn(both)
    assert poster.width == 2 * MARGIN + 5 * SIDE + 4 * GAP
    assert count(poster, MARK) > 0
    assert (panel(poster, 1) == panel(poster, 2)).all()


def test_a_poster_without_maps_words_and_scores_shows_the_picture() -> None:
    poster = drawn(PictureFeedback(image=Image.new("RGB", (60, 40), "red"), prompt=""))
    assert (panel(poster, 0) == (255, 0, 0)).all()


@pytest.mark.parametrize("size", [(1, 1), (8, 600), (600, 8)])
def test_pictures_of_odd_sizes_are_drawn(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "red")
    assert count(drawn(said_of(HOSTILE, image=picture)), "red") > 0


def test_a_picture_that_cannot_be_read_says_why() -> None:
    said = said_of("a fox", image="/nowhere/gone.png")
    assert drawn(said).size[0] == drawn(said_of("a fox")).size[0]
    assert len(set(panel(drawn(said), 0)[:, :, 0].ravel().tolist())) > 10, "there is a text"


def test_a_png_is_written_whole(tmp_path: Path) -> None:
    said = said_of("a red fox")
    path = save_png(said, tmp_path / "deep" / "out.png", side=SIDE)
    with Image.open(path) as written:
        assert written.format == "PNG"
        assert np.array_equal(np.asarray(written), np.asarray(drawn(said)))
    assert [entry.name for entry in path.parent.iterdir()] == ["out.png"]


def test_a_grid_has_a_row_for_each_picture() -> None:
    said = said_of("a red fox")
    both = said.beside(said)
    heights = [draw_grid([both] * rows, side=SIDE).height for rows in (1, 2, 3)]
    assert heights[2] - heights[1] == heights[1] - heights[0] > SIDE
    mixed = draw_grid([both, said_of(LONG), said_of("x", image="/nowhere/gone.png")], side=SIDE)
    assert mixed.width == draw_grid([both], side=SIDE).width


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(DataError, match="no picture"):
        draw_grid([])
