"""The report in headless Chromium, with real clicks and keys."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from beholder.eval.report import Gallery, Report, ScoredPicture, write_report
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


@pytest.fixture(scope="module")
def loaded(running: Browser, page: Path) -> Browser:
    running.open(page, width=1280)
    return running


@pytest.fixture
def browser(loaded: Browser) -> Iterator[Browser]:
    """The page as it was when it opened; nothing may be said on the console meanwhile."""
    loaded.evaluate("document.querySelector('.controls').reset()")
    loaded.settle()
    yield loaded
    assert loaded.complaints() == []


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
    choose(browser, "checkpoint", "half-way")
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
    assert (title(browser), shown(browser)) == (first, ["half-way"])
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
    browser.click("[data-theme-switch]")
    assert browser.evaluate(ground) == light


def test_on_a_phone_checkpoints_stay_beside_each_other_and_names_break_at_their_marks(
    browser: Browser,
) -> None:
    browser.resize(width=390)
    browser.click(".controls [name=layout][value=rows]")
    browser.wait_for("document.querySelectorAll('.cell').length > 2", 5)
    tops = "[...document.querySelectorAll('.cell .frame')].slice(0, 3)"
    tops += ".map(e => e.getBoundingClientRect().top)"
    assert len(set(browser.evaluate(tops))) == 1
    lefts = "[...document.querySelectorAll('.cell')].map(e => e.getBoundingClientRect().left)"
    assert len(set(browser.evaluate(lefts))) == 1, "each prompt has the whole width"
    browser.click(".plate button")
    browser.press("s")
    heads = "[...document.querySelectorAll('#viewer thead th')].map(e => e.innerHTML)"
    assert browser.evaluate(heads)[2] == "half-<wbr>way"
    browser.press("Escape")
    browser.resize(width=1280)


FLAT = [
    ScoredPicture(
        image=torch.zeros(3, 8, 8, dtype=torch.uint8),
        prompt=f"p{k}",
        total=0.003,
        aspects={"area": 0.001 * k},
    )
    for k in range(3)
]


@pytest.mark.parametrize("pictures", [1, 3])
def test_scores_that_are_all_equal_lie_in_the_middle(
    running: Browser, tmp_path: Path, pictures: int
) -> None:
    ranges = {"total": (0.003, 0.003), "area": (0.0, 0.001 * (pictures - 1))}
    gallery = Gallery(pictures=FLAT[:pictures], ranges=ranges, of=pictures)
    page = write_report(Report(title="flat", gallery=gallery), tmp_path / "flat.html")
    running.open(page, width=1280)
    bars = "[...document.querySelectorAll('.spread rect')].map(e => e.getAttribute('height'))"
    heights = running.evaluate(bars)
    assert heights == ["100%" if k == 20 else "0%" for k in range(40)]
    dots = "[...document.querySelectorAll('.plate .dot')].map(e => e.getAttribute('cx'))"
    assert running.evaluate(dots) == ["50%"] * pictures
    output = "document.querySelector('.range output').textContent"
    assert running.evaluate(output) == "0.0030 to 0.0030"
    running.click(".plate button")
    cells = "[...document.querySelectorAll('#viewer tbody td span')].map(e => e.textContent)"
    assert running.evaluate(cells) == ["0.0030", "0.00" if pictures == 1 else "0.0000"]
    assert "NaN" not in running.evaluate("document.body.outerHTML")
    assert running.complaints() == []


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


@pytest.fixture(scope="module")
def checked(running: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A page with every kind of element and few of each, and what checks it."""
    folder = tmp_path_factory.mktemp("few")
    running.open(write_report(album_report(folder, prompts=2), folder / "few.html"), width=1280)
    running.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    return running


@pytest.mark.skipif(not AXE.is_file(), reason="needs npm install axe-core, or AXE_CORE=FILE")
@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(checked: Browser, width: int, scheme: str) -> None:
    checked.resize(width=width, scheme=scheme)
    assert faults(checked, "document") == []
    checked.click(".plate button")
    checked.press("s")
    checked.press("?")
    assert faults(checked, "'#viewer'") == []
    assert checked.evaluate("document.documentElement.scrollWidth") == width
    checked.press("Escape")


def faults(browser: Browser, part: str) -> list[object]:
    run = f"axe.run({part}, {{resultTypes: ['violations']}}).then(r => r.violations"
    run += ".filter(v => ['serious', 'critical'].includes(v.impact))"
    run += ".map(v => [v.id, v.nodes[0].html]))"
    answer = browser.call("Runtime.evaluate", expression=run, awaitPromise=True, returnByValue=True)
    found: list[object] = answer["result"]["value"]
    return found
