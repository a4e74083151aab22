from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from beholder.errors import ImageError
from beholder.eval.filter_card import filter_card
from tests._page.browser import CHROMIUM, Browser, browsing
from tests.eval._filter_card.sample import sample

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("card") / "card.html"
    pictures = [np.full((300, 400, 3), 60 * k, np.uint8) for k in range(4)]
    path.write_text(filter_card(sample([*pictures, ImageError("missing", "no such file")])))
    return path


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_card_fits_every_screen_asks_for_nothing_and_complains_of_nothing(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    browser.open(page, width=width, scheme=scheme)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.complaints() == []
    assert {address.partition(":")[0] for address in browser.requested()} == {"file", "data"}
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    beyond = "[...document.querySelectorAll('main *:not(.unseen)')].filter(e => {"
    beyond += " const box = e.getBoundingClientRect();"
    beyond += " return box.width && (box.right > innerWidth + 1 || box.left < -1) })"
    assert browser.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 200))") == []
