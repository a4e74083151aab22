from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from beholder.images import read_image
from beholder.training._tuning.page import write_run_report
from tests._page.browser import CHROMIUM, Browser, browsing
from tests._page.photographs import HOSTILE, LONG, PHOTOGRAPHS, photograph
from tests.training._tuning.runs import evaluation, rising, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]
BEYOND = """[...document.body.querySelectorAll('*:not(.skip, .unseen)')].filter(e => {
 const box = e.getBoundingClientRect();
 return box.width && (box.right > innerWidth + 1 || box.left < -1)
}).map(e => e.outerHTML.slice(0, 200))"""
OUTSIDE = """[...document.querySelectorAll('.curve')].filter(curve => {
 const room = curve.getBoundingClientRect();
 return [...curve.querySelectorAll('text')].some(text => {
  const box = text.getBoundingClientRect();
  return box.left < room.left - 1 || box.right > room.right + 1
 })
}).map(curve => curve.textContent)"""
MEETING = """[...document.querySelectorAll('.curve')].flatMap(curve => {
 const boxes = [...curve.querySelectorAll('text')].map(text => text.getBoundingClientRect());
 return boxes.filter((a, k) => boxes.some((b, j) => j < k && a.left < b.right - 1
  && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4))
}).length"""
DRIFT = """[...document.querySelectorAll('.curve')].flatMap(curve => {
 const dots = [...curve.querySelectorAll('circle')], line = curve.querySelector('path');
 if (!dots.length || !line) return [];
 const box = line.getBoundingClientRect(), at = dots.map(dot => dot.getBoundingClientRect());
 const left = Math.min(...at.map(dot => (dot.left + dot.right) / 2));
 const right = Math.max(...at.map(dot => (dot.left + dot.right) / 2));
 return [Math.abs(left - box.left), Math.abs(right - box.right)]
})"""


def coloured(row: int, share: float) -> Tensor:
    """A photograph that gets gaudier."""
    name = list(PHOTOGRAPHS)[row % len(PHOTOGRAPHS)]
    pixels = read_image(photograph(name).resize((96, 96))) / 255
    grey = pixels.mean(0, keepdim=True)
    return torch.lerp(grey, pixels, 1 + share).clamp(0, 1)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    prompts = [*PHOTOGRAPHS.values(), LONG, HOSTILE, "x" * 400]
    two = {0: evaluation(0, None), 25: evaluation(0.5, None)}
    ended = run(folder / "ended", rising(400, 50), best=150, picture=coloured, prompts=prompts)
    alone = run(folder / "alone", two, best=25, held_out_reward="", prompts=prompts[:1])
    young = run(folder / "young", {})
    return {path.name: write_run_report(path) for path in (ended, alone, young)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.parametrize("name", ["ended", "alone", "young"])
@pytest.mark.parametrize("width", [1440, 768, 390])
def test_it_fits_any_screen_and_asks_for_nothing(
    pages: dict[str, Path], browser: Browser, name: str, width: int
) -> None:
    browser.open(pages[name], width=width)
    assert browser.complaints() == []
    assert {address.partition(":")[0] for address in browser.requested()} <= {"file", "data"}
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    browser.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert browser.evaluate(BEYOND) == []
    assert browser.evaluate(OUTSIDE) == [], "labels stay beside their curve"
    assert browser.evaluate(MEETING) == 0, "no two labels of a curve meet"
    assert pages[name].stat().st_size < 3_000_000


@pytest.mark.parametrize("width", [1440, 390])
def test_dots_lie_on_the_stretched_lines(
    pages: dict[str, Path], browser: Browser, width: int
) -> None:
    browser.open(pages["ended"], width=width)
    drift = browser.evaluate(DRIFT)
    assert len(drift) >= 6
    assert max(drift) < 2
