from pathlib import Path

import pytest
from PIL import Image

from beholder.demo.examples import MOST, drawn_examples, examples_from
from beholder.errors import DataError


def middle(picture: Path) -> tuple[int, ...]:
    """The colour in the middle of the balloon."""
    with Image.open(picture) as opened:
        found = opened.getpixel((192, 130))
    assert isinstance(found, tuple)
    return found


def test_drawn_pictures_share_a_prompt_and_one_shows_another_colour(tmp_path: Path) -> None:
    right, wrong, blurred = drawn_examples(tmp_path)
    assert {right.prompt, wrong.prompt, blurred.prompt} == {"a red balloon over a green hill"}
    red, blue = middle(right.picture), middle(wrong.picture)
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]
    assert middle(blurred.picture)[0] > 150


def test_rows_of_a_source_come_with_their_prompts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (4, 3), "red").save(tmp_path / f"{name}.png")
    manifest = tmp_path / "rows.csv"
    lines = [f"{tmp_path / name}.png,the {name}" for name in ("a", "b")] * MOST
    manifest.write_text("\n".join(["image,prompt", *lines]))
    (tmp_path / "kept").mkdir()
    found = examples_from(str(manifest), tmp_path / "kept")
    assert [each.prompt for each in found][:3] == ["the a", "the b", "the a"]
    assert len(found) == MOST
    with Image.open(found[0].picture) as copy:
        assert copy.size == (4, 3)


def test_an_example_that_cannot_be_read_is_told_before_the_page_opens(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"bad\.png"):
        examples_from(str(tmp_path), tmp_path)
