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


def test_the_page_opens_without_a_complaint_or_a_request(page: Path, browser: Browser) -> None:
    browser.open(page, width=1440)
    assert browser.complaints() == []
    schemes = {address.partition(":")[0] for address in browser.requested()}
    assert schemes == {"file", "data"}
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert browser.evaluate("document.querySelectorAll('section').length") == 9


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["page", "crowded"])
def test_nothing_is_wider_than_the_screen(
    request: pytest.FixtureRequest, browser: Browser, kind: str, width: int
) -> None:
    browser.open(request.getfixturevalue(kind), width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    beyond = "[...document.body.querySelectorAll('*:not(.skip, .unseen)')].filter(e => {"
    beyond += " if (e.closest('.scroll, dialog')) return false;"
    beyond += " const box = e.getBoundingClientRect();"
    beyond += " return box.width && (box.right > innerWidth + 1 || box.left < -1) })"
    assert browser.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 200))") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_screenshot_is_the_whole_page_in_its_scheme(
    page: Path, browser: Browser, tmp_path: Path, scheme: str
) -> None:
    browser.open(page, width=390, scheme=scheme)
    shot = Image.open(browser.screenshot(tmp_path / "shot.png")).convert("L")
    assert shot.width == 390
    assert shot.height == browser.evaluate("document.documentElement.scrollHeight")
    corner = shot.getpixel((0, 0))
    assert corner == (pytest.approx(250, abs=5) if scheme == "light" else pytest.approx(20, abs=5))


def test_a_long_prompt_shows_four_lines_until_it_is_opened(page: Path, browser: Browser) -> None:
    browser.open(page, width=1440)
    height = "document.querySelector('.long span').getBoundingClientRect().height"
    folded = browser.evaluate(height)
    assert folded < 120
    browser.evaluate("document.querySelector('.long').open = true")
    assert browser.evaluate(height) > 3 * folded


def test_every_link_and_fold_can_be_reached_with_the_keyboard(page: Path, browser: Browser) -> None:
    browser.open(page, width=1440)
    reached = []
    kinds = "a, summary, button:not([hidden])"
    for _ in range(browser.evaluate(f"document.querySelectorAll('{kinds}').length")):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
        reached.append(browser.evaluate("document.activeElement.outerHTML"))
    assert re.search("Skip to the findings", reached[0])
    assert len(set(reached)) == len(reached)
    assert all(re.match("<(a|summary|button)", element) for element in reached)
