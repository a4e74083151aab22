from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests._page.browser import CHROMIUM, Browser, browsing
from tests._page.feedbacks import of_photograph, said_of
from tests._page.photographs import HOSTILE, LONG, PHOTOGRAPHS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]
NOTEBOOK = """<!doctype html><meta charset='utf-8'>
<meta name='viewport' content='width=device-width'><body style='margin:0;{}'>{}"""
BEYOND = """[...document.querySelectorAll('.fb *:not(.fb-unseen)')].filter(e => {
 const box = e.getBoundingClientRect(); return box.right > innerWidth + 1 || box.left < -1
}).length"""
UNCOVERED = """[...document.querySelectorAll('.fb-heat')].filter(heat => {
 const [a, b] = [heat, heat.previousElementSibling].map(e => e.getBoundingClientRect());
 return a.x != b.x || a.y != b.y || a.width != b.width || a.height != b.height
}).length"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shown = [of_photograph(name, prompt) for name, prompt in PHOTOGRAPHS.items()]
    shown += [said_of(LONG), said_of(HOSTILE), said_of("x" * 400, image=Image.new("L", (8, 600)))]
    path = tmp_path_factory.mktemp("notebook") / "notebook.html"
    cells = "".join(said._repr_html_() for said in shown)
    path.write_text(NOTEBOOK.format("background:#111;color:#eee", cells), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [390, 900, 1440])
def test_a_notebook_shows_it_at_any_width(notebook: Path, browser: Browser, width: int) -> None:
    browser.open(notebook, width=width)
    assert browser.complaints() == []
    assert {address.partition(":")[0] for address in browser.requested()} == {"file", "data"}
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(BEYOND) == 0
    assert browser.evaluate("document.querySelectorAll('.fb-heat').length") == 4 * 4 + 3 * 2
    assert browser.evaluate(UNCOVERED) == 0


def test_its_text_takes_the_colour_of_the_notebook(notebook: Path, browser: Browser) -> None:
    browser.open(notebook, width=900)
    colour = "getComputedStyle(document.querySelector('.fb-prompt s')).color"
    assert browser.evaluate(colour) == "rgb(238, 238, 238)"
