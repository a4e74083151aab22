import re
from xml.etree import ElementTree

import pytest

from beholder.calibration import Bin, Measured, Reliability
from beholder.eval._calibration.diagram import diagram


def reliability(*points: tuple[float, float]) -> Reliability:
    bins = tuple(
        Bin(stated=x, observed=Measured(value=y, low=y - 0.1, high=y + 0.1), pairs=7)
        for x, y in points
    )
    nothing = Measured(value=0, low=0, high=0)
    return Reliability(ece=nothing, ece_plain=0, log_loss=nothing, bins=bins)


def marks(drawn: str, tag: str, kind: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(drawn)
    return [e for e in root.iter(tag) if e.get("class") == kind]


def place(element: ElementTree.Element, x: str = "cx", y: str = "cy") -> tuple[float, float]:
    return float(str(element.get(x)).rstrip("%")), float(str(element.get(y)))


def test_a_bin_that_is_right_lies_on_the_diagonal() -> None:
    drawn = diagram(reliability((0.5, 0.5)), reliability((0.5, 0.5), (0.75, 0.75), (1, 1)), "total")
    (guide,) = marks(drawn, "line", "guide")
    (x1, y1), (x2, y2) = place(guide, "x1", "y1"), place(guide, "x2", "y2")
    for x, y in map(place, marks(drawn, "circle", "dot")):
        assert y == pytest.approx(y1 + (x - x1) * (y2 - y1) / (x2 - x1), abs=0.1)
    assert (x1, x2) == (0, 100)


def test_surer_than_people_are_lies_below_and_the_whisker_is_the_interval() -> None:
    drawn = diagram(reliability((0.9, 0.6)), reliability((0.9, 0.8)), "total")
    (ring,), (dot,) = marks(drawn, "circle", "ring"), marks(drawn, "circle", "dot")
    assert place(ring)[0] == place(dot)[0] == 80
    assert place(ring)[1] > place(dot)[1]  # pixels from the top
    (whisker,) = marks(drawn, "line", "whisker")
    low, high = place(whisker, "x1", "y1")[1], place(whisker, "x2", "y2")[1]
    assert (low + high) / 2 == pytest.approx(place(dot)[1], abs=0.11)
    assert re.search(r"stated 0\.90, people 0\.80, 7 pairs", drawn)


def test_screen_readers_are_told_every_bin() -> None:
    drawn = diagram(reliability((0.9, 0.6)), reliability((0.6, 0.55), (0.9, 0.88)), "detail")
    assert (
        "detail: before, stated 0.90 was 0.60; after, stated 0.60 was 0.55, 0.90 was 0.88" in drawn
    )
