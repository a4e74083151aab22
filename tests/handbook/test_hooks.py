"""The site as mkdocs builds it: strictly, and without a request to anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests._page.browser import CHROMIUM, browsing

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The strict build, which fails for a missing page, a dead link or a dead anchor."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-4000:]
    return folder


def test_every_page_is_there_and_no_comment_to_the_tests(site: Path) -> None:
    for place in ("index", "start", "rewards/mps", "reference/modules/beholder.rewards"):
        assert (site / f"{place}.html").is_file()
    assert not [p for p in site.rglob("*.html") if "<!-- world:" in p.read_text(encoding="utf-8")]


def test_no_page_names_a_script_style_font_or_picture_of_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'src="http' not in text, page
        assert not [part for part in text.split("<link ")[1:] if 'href="http' in part.split(">")[0]]


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")
def test_a_page_opened_as_a_file_asks_nobody_and_its_search_finds(
    site: Path, tmp_path: Path
) -> None:
    with browsing(tmp_path) as browser:
        for width in (1280, 390):
            browser.open(site / "rewards" / "mps.html", width=width)
            assert browser.evaluate("document.documentElement.scrollWidth") == width
        browser.open(site / "index.html", width=1280)
        browser.click(".md-search__input")
        browser.call("Input.insertText", text="Krippendorff")
        browser.wait_for("document.querySelectorAll('.md-search-result__item').length > 0", 60)
        assert [u for u in browser.requested() if not u.startswith(("file:", "data:"))] == []
        assert browser.complaints() == []
