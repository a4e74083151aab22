"""The report in headless Chromium, with real clicks and keys."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from beholder.eval.report import write_report
from tests._page.browser import CHROMIUM, Browser, browsing
from tests.eval._report.album_sample import CHECKPOINTS, PROMPTS, SEEDS, album_report, score_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]
ALL = PROMPTS * SEEDS * len(CHECKPOINTS)
AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
SCORES = sorted(
    (score_of(k, s, c) for k in range(PROMPTS) for s in range(SEEDS) for c in CHECKPOINTS),
    reverse=True,
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    return write_report(album_report(folder), folder / "report.html")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def browser(running: Browser, page: Path) -> Browser:
    running.open(page, width=1280)
    return running


def plates(browser: Browser) -> list[float]:
    """The score that each picture of the gallery shows, with two digits."""
    values = "[...document.querySelectorAll('.plate .reading b')].map(e => Number(e.textContent))"
    found: list[float] = browser.evaluate(values)
    return found


def near(scores: list[float]) -> object:
    return pytest.approx(scores, abs=0.00501)


def choose(browser: Browser, name: str, value: str) -> None:
    control = f"document.querySelector('.controls [name={name}]')"
    event = "new Event('input', {bubbles: true})"
    browser.evaluate(f"{control}.value = {value!r}; {control}.dispatchEvent({event})")


def said(browser: Browser) -> str:
    text: str = browser.evaluate("document.querySelector('#album-view [role=status]').textContent")
    return text


def title(browser: Browser) -> str:
    text: str = browser.evaluate("document.querySelector('#viewer-title').textContent")
    return text


def shown(browser: Browser) -> list[str]:
    pictures = "[...document.querySelectorAll('.stage .sheet img:first-child')]"
    names: list[str] = browser.evaluate(f"{pictures}.map(image => image.alt)")
    return [name.partition(":")[0] for name in names]


def test_the_gallery_shows_the_highest_first_and_more_on_demand(browser: Browser) -> None:
    assert browser.complaints() == []
    assert plates(browser) == near(SCORES[:48])
    assert said(browser) == f"All {ALL} pictures pass; 48 are drawn."
    browser.click("[data-more]")
    assert plates(browser) == near(SCORES[:96])
    buttons = "[...document.querySelectorAll('.plate button')]"
    focused = browser.evaluate(f"{buttons}.indexOf(document.activeElement)")
    assert focused == 48, "the keyboard goes on where the new pictures begin"


def test_sorting_and_filters_choose_what_is_shown(browser: Browser) -> None:
    choose(browser, "order", "up")
    assert plates(browser)[:2] == near(SCORES[:-3:-1])
    choose(browser, "checkpoint", "middle")
    assert said(browser).startswith(f"{ALL // 3} of {ALL} pictures pass")
    choose(browser, "category", "places")
    assert said(browser).startswith(f"{ALL // 6} of {ALL} pictures pass")
    choose(browser, "text", "PROMPT 11")
    assert len(plates(browser)) == SEEDS
    choose(browser, "text", "nothing has this")
    assert said(browser).startswith("No picture passes")
    browser.click(".controls [type=reset]")
    browser.wait_for("document.querySelectorAll('.plate').length == 48", 5)


def test_a_range_of_scores_is_moved_with_the_keyboard(browser: Browser) -> None:
    browser.evaluate("document.querySelector('[data-low]').focus()")
    for _ in range(3):
        browser.press("ArrowRight")
    low = SCORES[-1] + 3 / 200 * (SCORES[0] - SCORES[-1])
    expected = sum(score >= low for score in SCORES)
    assert expected < ALL
    assert said(browser).startswith(f"{expected} of {ALL} pictures pass")


def test_prompt_by_prompt_puts_checkpoints_beside_each_other(browser: Browser) -> None:
    browser.click(".controls [name=layout][value=rows]")
    names = "[...c.querySelectorAll('.who')].map(e => e.textContent)"
    who = f"[...document.querySelectorAll('.cell')].slice(0, 3).map(c => {names})"
    assert browser.evaluate(who) == [list(CHECKPOINTS)] * 3


def test_a_click_enlarges_and_keys_go_on(browser: Browser) -> None:
    browser.click(".plate:nth-child(2) button")
    assert browser.evaluate("document.querySelector('#viewer').open")
    first = title(browser)
    browser.press("ArrowRight")
    count = browser.evaluate("document.querySelector('[data-part=count]').textContent")
    assert count == f"3 of {ALL}"
    assert title(browser) != first
    browser.press("ArrowLeft")
    assert (title(browser), shown(browser)) == (first, ["late"])
    browser.press("ArrowDown")
    assert (title(browser), shown(browser)) == (first, ["middle"])
    browser.press("s")
    assert shown(browser) == list(CHECKPOINTS)
    cells = "[...document.querySelectorAll('#viewer tbody tr:first-child td')]"
    best = f"{cells}.map(d => !!d.querySelector('b'))"
    assert browser.evaluate(best) == [True, False, False]
    browser.press("?")
    assert browser.evaluate("!document.querySelector('#viewer-keys').hidden")
    browser.press("Escape")
    assert not browser.evaluate("document.querySelector('#viewer').open")
    opener = "document.querySelector('.plate:nth-child(2) button')"
    assert browser.evaluate(f"document.activeElement == {opener}")


def test_the_focus_stays_in_the_viewer(browser: Browser) -> None:
    browser.evaluate("document.querySelector('.plate button').focus()")
    browser.press("Enter")
    inside = "document.activeElement == document.body"  # the browser's own bar
    inside += " || document.querySelector('#viewer').contains(document.activeElement)"
    for _ in range(24):
        browser.press("Tab")
        assert browser.evaluate(inside), browser.evaluate("document.activeElement.outerHTML")
    browser.press("Escape")


def test_a_map_is_laid_over_the_picture_and_fades(browser: Browser) -> None:
    browser.click(".plate button")
    layer = "document.querySelector('.stage .layer')"
    assert browser.evaluate(f"{layer} === null")
    browser.press("h")
    assert browser.evaluate(f"{layer}.alt") == "Map of implausibility"
    browser.click("[data-part=kinds] label:last-child input")
    assert browser.evaluate(f"{layer}.alt") == "Map of misalignment"
    browser.evaluate("document.querySelector('[data-part=opacity]').focus()")
    before = float(browser.evaluate(f"getComputedStyle({layer}).opacity"))
    browser.press("ArrowLeft")
    after = float(browser.evaluate(f"getComputedStyle({layer}).opacity"))
    assert after == pytest.approx(before - 0.01)
    both = f"[{layer}, {layer}.previousElementSibling]"
    boxes = browser.evaluate(f"{both}.map(e => JSON.stringify(e.getBoundingClientRect()))")
    assert boxes[0] == boxes[1]
    browser.press("h")
    assert browser.evaluate(f"{layer} === null")
    browser.press("Escape")


def test_best_pictures_and_disagreements_are_enlarged_too(browser: Browser) -> None:
    browser.click("#pictures .enlarge")
    assert len(shown(browser)) == 1
    browser.press("Escape")
    browser.click("#disagreements .enlarge")
    assert shown(browser) == ["late", "early"]
    browser.press("Escape")


def test_the_leaderboard_is_ranked_by_another_score(browser: Browser) -> None:
    boards = "[...document.querySelectorAll('.board')].filter(b => b.offsetHeight)"
    visible = f"{boards}.map(b => b.querySelector('.label b').textContent)"
    assert browser.evaluate(visible) == ["late"]
    browser.evaluate("document.querySelector('#ranked-by-0').focus()")
    browser.press("ArrowRight")
    assert browser.evaluate(visible) == ["early"]


def test_a_checkpoint_leaves_the_radar(browser: Browser) -> None:
    series = "[...document.querySelectorAll('.radar .series')]"
    drawn = f"{series}.filter(s => getComputedStyle(s).display != 'none').length"
    assert browser.evaluate(drawn) == 3
    browser.click("#series-1")
    assert browser.evaluate(drawn) == 2


def test_the_theme_is_switched_in_memory_only(browser: Browser) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = browser.evaluate(ground)
    browser.click("[data-theme-switch]")
    assert browser.evaluate(ground) != light
    button = "document.querySelector('[data-theme-switch]')"
    assert browser.evaluate(f"{button}.textContent") == "Light page"
    assert browser.complaints() == []


def test_without_script_all_findings_are_there(running: Browser, page: Path) -> None:
    running.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        running.open(page, width=390)
        text = running.evaluate("document.body.innerText")
        hidden = running.evaluate("document.querySelector('#album-view').offsetHeight")
    finally:
        running.call("Emulation.setScriptExecutionDisabled", value=False)
    sections = ("Leaderboard", "late", "Best and worst", "Protocol and versions")
    for found in (*sections, "needs JavaScript"):
        assert found in text
    assert hidden == 0


@pytest.mark.skipif(not AXE.is_file(), reason="needs npm install axe-core, or AXE_CORE=FILE")
@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(running: Browser, page: Path, width: int, scheme: str) -> None:
    running.open(page, width=width, scheme=scheme)
    assert faults(running) == []
    running.click(".plate button")
    running.press("s")
    running.press("?")
    assert faults(running) == []
    assert running.evaluate("document.documentElement.scrollWidth") == width


def faults(browser: Browser) -> list[object]:
    browser.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    run = "axe.run({resultTypes: ['violations']}).then(r => r.violations"
    run += ".filter(v => ['serious', 'critical'].includes(v.impact))"
    run += ".map(v => [v.id, v.nodes[0].html]))"
    answer = browser.call("Runtime.evaluate", expression=run, awaitPromise=True, returnByValue=True)
    found: list[object] = answer["result"]["value"]
    return found
