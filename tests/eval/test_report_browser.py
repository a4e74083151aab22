import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from beholder.eval.report import write_report
from tests._page.browser import CHROMIUM, Browser, browsing
from tests.eval._report.sample import sample, unkind

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]
WIDTHS = (1440, 768, 390)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(sample(folder), folder / "report.html")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(unkind(), tmp_path_factory.mktemp("crowded") / "report.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as running:
        yield running


def test_a_page_with_every_section_stays_below_5_megabytes(page: Path) -> None:
    assert page.stat().st_size < 5_000_000


@pytest.fixture(scope="module")
def loaded(page: Path, browser: Browser) -> Browser:
    browser.open(page, width=1440)
    return browser


def test_the_page_opens_without_a_complaint_or_a_request(loaded: Browser) -> None:
    assert loaded.complaints() == []
    schemes = {address.partition(":")[0] for address in loaded.requested()}
    assert schemes == {"file", "data"}
    assert loaded.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert loaded.evaluate("document.querySelectorAll('section').length") == 9


def test_a_long_prompt_shows_four_lines_until_it_is_opened(loaded: Browser) -> None:
    height = "document.querySelector('.long span').getBoundingClientRect().height"
    folded = loaded.evaluate(height)
    assert folded < 120
    loaded.evaluate("document.querySelector('.long').open = true")
    assert loaded.evaluate(height) > 3 * folded
    loaded.evaluate("document.querySelector('.long').open = false")


def test_every_link_and_fold_can_be_reached_with_the_keyboard(loaded: Browser) -> None:
    reached = []
    kinds = "a, summary, button:not([hidden])"
    for _ in range(loaded.evaluate(f"document.querySelectorAll('{kinds}').length")):
        loaded.press("Tab")
        reached.append(loaded.evaluate("document.activeElement.outerHTML.slice(0, 300)"))
    assert re.search("Skip to the findings", reached[0])
    assert len(set(reached)) == len(reached)
    assert all(re.match("<(a|summary|button)", element) for element in reached)


def test_the_screenshot_is_the_whole_page_in_its_scheme(loaded: Browser, tmp_path: Path) -> None:
    for scheme, ground in (("dark", 20), ("light", 250)):
        loaded.resize(width=390, scheme=scheme)
        shot = Image.open(loaded.screenshot(tmp_path / "shot.png")).convert("L")
        assert shot.width == 390
        assert shot.height == loaded.evaluate("document.documentElement.scrollHeight")
        assert shot.getpixel((0, 0)) == pytest.approx(ground, abs=5)


@pytest.mark.parametrize("kind", ["page", "crowded"])
def test_nothing_is_wider_than_the_screen(
    request: pytest.FixtureRequest, browser: Browser, kind: str
) -> None:
    browser.open(request.getfixturevalue(kind), width=WIDTHS[0])
    beyond = "[...document.body.querySelectorAll('*:not(.skip, .unseen)')].filter(e => {"
    beyond += " if (e.closest('.scroll, dialog')) return false;"
    beyond += " const box = e.getBoundingClientRect();"
    beyond += " return box.width && (box.right > innerWidth + 1 || box.left < -1) })"
    for width in WIDTHS:
        browser.resize(width=width)
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        assert browser.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 200))") == []
