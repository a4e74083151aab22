import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handbook.links import is_elsewhere, links
from handbook.screenshots import IMAGES, LIMIT_BYTES, SHOTS, save, take
from tests._page.browser import CHROMIUM, browsing

ROOT = Path(__file__).parents[2]


def test_a_picture_that_is_too_large_loses_colours_and_no_pixels(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 200 * 300 * 3).reshape(200, 300, 3).astype(np.uint8)
    picture = Image.fromarray(np.random.default_rng(0).permutation(ramp))
    whole = save(picture, tmp_path / "whole.png").stat().st_size
    small = save(picture, tmp_path / "small.png", limit=whole // 2)
    assert small.stat().st_size <= whole // 2
    with Image.open(small) as opened:
        assert opened.size == (300, 200)


def test_what_cannot_be_small_enough_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 10; show less of it"):
        save(Image.new("RGB", (64, 64)), tmp_path / "a.png", limit=10)
    assert list(tmp_path.iterdir()) == []


def test_every_picture_of_the_docs_is_bounded() -> None:
    sizes = {path.name: path.stat().st_size for path in IMAGES.iterdir()}
    assert {name: size for name, size in sizes.items() if size > LIMIT_BYTES} == {}


def test_every_shot_is_in_the_docs() -> None:
    assert [shot.name for shot in SHOTS if not (IMAGES / f"{shot.name}.png").is_file()] == []


def test_every_picture_that_a_page_shows_is_there() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        targets = links(page.read_text(encoding="utf-8"))
        shown = [
            t for t in targets if t.endswith((".png", ".jpg", ".webp")) and not is_elsewhere(t)
        ]
        missing = [t for t in shown if not Path(os.path.normpath(page.parent / t)).is_file()]
        assert missing == [], page


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")
@pytest.mark.long
def test_a_shot_has_the_size_of_its_screen_and_begins_where_it_says(tmp_path: Path) -> None:
    from handbook.screenshots import Shot

    blue = "<div id=low style='background:#00f;height:3000px'></div>"
    (tmp_path / "page.html").write_text(f"<body style='margin:0'><p>far above</p>{blue}</body>")
    shot = Shot(name="x", page="page.html", width=500, height=300, at="#low")
    with browsing(tmp_path / "profile") as browser:
        picture = take(shot, tmp_path, browser)
    assert picture.size == (500, 300)
    assert picture.convert("RGB").getcolors() == [(500 * 300, (0, 0, 255))]
