from collections.abc import Iterator
from pathlib import Path

import pytest

from beholder.annotation.trust.agreement import agreement
from beholder.annotation.trust.agreement_page import write_agreement_page, write_rating_page
from beholder.annotation.trust.rating_agreement import rating_agreement
from tests._page.browser import CHROMIUM, Browser, browsing
from tests.annotation.trust._agreement.sample import pairs, ratings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("agreement")
    compared, sides = pairs(folder)
    rated, tasks = ratings(folder)
    report = agreement(compared, sides=sides, overlap_percent=20)
    rating_report = rating_agreement(rated, tasks=tasks)
    return {
        "pairs": write_agreement_page(report, compared, folder / "pairs.html"),
        "ratings": write_rating_page(rating_report, rated, folder / "ratings.html"),
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.parametrize("kind", ["pairs", "ratings"])
def test_the_page_opens_without_a_complaint_or_a_request(
    pages: dict[str, Path], browser: Browser, kind: str
) -> None:
    browser.open(pages[kind], width=1440)
    assert browser.complaints() == []
    assert {address.partition(":")[0] for address in browser.requested()} == {"file", "data"}
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert pages[kind].stat().st_size < 3_000_000


@pytest.mark.parametrize("width", [1440, 768, 390])
@pytest.mark.parametrize("kind", ["pairs", "ratings"])
def test_nothing_is_wider_than_the_screen(
    pages: dict[str, Path], browser: Browser, kind: str, width: int
) -> None:
    browser.open(pages[kind], width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    beyond = "[...document.body.querySelectorAll('*:not(.skip, .unseen)')].filter(e => {"
    beyond += " const box = e.getBoundingClientRect();"
    beyond += " return box.width && (box.right > innerWidth + 1 || box.left < -1) })"
    assert browser.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 200))") == []


def test_points_lie_on_the_picture(pages: dict[str, Path], browser: Browser) -> None:
    browser.open(pages["ratings"], width=1440)
    apart = "[...document.querySelectorAll('.marked')].map(frame => {"
    apart += " const a = frame.querySelector('img').getBoundingClientRect();"
    apart += " const b = frame.querySelector('svg').getBoundingClientRect();"
    apart += " return Math.abs(a.x - b.x) + Math.abs(a.y - b.y) + Math.abs(a.width - b.width)"
    apart += " + Math.abs(a.height - b.height) })"
    assert max(browser.evaluate(apart)) < 1
