import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from beholder._page.curves import MOST_POINTS, Guide, Series, curve, short

LINE = Series(name="reward", points=[(0.0, 0.0), (50.0, 1.0), (100.0, 4.0)])


def elements(drawing: Markup, tag: str, kind: str = "") -> list[ElementTree.Element]:
    found = ElementTree.fromstring(drawing).iter(tag)
    return [one for one in found if kind in one.attrib.get("class", "").split() or not kind]


def places(path: ElementTree.Element) -> list[tuple[float, float]]:
    numbers = re.findall(r"([\d.]+),([\d.]+)", path.attrib["d"])
    return [(float(x), float(y)) for x, y in numbers]


def test_a_line_lies_where_its_numbers_say() -> None:
    (path,) = elements(curve([LINE], "x", height=100), "path")
    (left, bottom), middle, (right, top) = places(path)
    assert (left, right) == (0, 100)
    assert bottom - top == 100
    assert middle == (50, bottom - 25)


def test_a_step_axis_begins_at_0() -> None:
    late = Series(name="loss", points=[(50.0, 1.0), (100.0, 2.0)])
    (path,) = elements(curve([late], "x"), "path")
    assert [x for x, _ in places(path)] == [50, 100]


def test_a_value_that_is_not_finite_is_a_gap_and_one_alone_is_a_dot() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, math.nan), (3.0, 3.0), (4.0, math.inf), (5.0, 1.0)]
    drawing = curve([Series(name="x", points=points)], "x")
    assert [len(places(path)) for path in elements(drawing, "path")] == [2]
    assert [dot.attrib["cx"] for dot in elements(drawing, "circle")] == ["60.0%", "100.0%"]


def test_nothing_finite_draws_nothing() -> None:
    empty = Series(name="x", points=[(0.0, math.nan)])
    assert curve([empty, Series(name="y", points=[])], "x") == ""
    assert len(elements(curve([empty, LINE], "x"), "path")) == 1


def test_each_point_of_a_marked_line_tells_its_value() -> None:
    marked = Series(name="reward", points=LINE.points, marked=True)
    told = [dot.findtext("title") for dot in elements(curve([marked], "x"), "circle")]
    assert told == ["reward, step 0: 0", "reward, step 50: 1.000", "reward, step 100: 4.000"]


def test_a_band_is_twice_its_spread_high_and_the_axis_holds_it() -> None:
    wide = Series(name="x", points=[(0.0, 1.0), (10.0, 1.0)], spread=[1.0, 0.5])
    (band,) = elements(curve([wide], "x", height=100), "path", "band")
    upper, lower = places(band)[:2], places(band)[2:][::-1]
    assert [low - high for (_, high), (_, low) in zip(upper, lower, strict=True)] == [100, 50]


def test_a_guide_stands_at_its_step_and_says_its_name() -> None:
    drawing = curve([LINE], "x", guide=Guide(75, "best: step 75"))
    (line,) = elements(drawing, "line", "guide")
    assert line.attrib["x1"] == line.attrib["x2"] == "75.0%"
    assert "best: step 75" in [text.text for text in elements(drawing, "text")]


@pytest.mark.parametrize(("step", "anchor"), [(0, "start"), (50, "middle"), (100, "end")])
def test_a_guide_at_the_edge_keeps_its_name_inside(step: float, anchor: str) -> None:
    drawing = curve([LINE], "x", guide=Guide(step, "here"))
    (name,) = [text for text in elements(drawing, "text") if text.text == "here"]
    assert name.attrib["text-anchor"] == anchor


def test_names_of_lines_that_end_together_stand_apart_and_inside() -> None:
    lines = [Series(name=n, points=[(0.0, 0.0), (1.0, y)]) for n, y in (("a", 0), ("b", 0))]
    top = Series(name="c", points=[(0.0, 0.0), (1.0, 9.0)])
    drawing = curve([*lines, top], "x", height=100)
    heights = sorted(float(text.attrib["y"]) for text in elements(drawing, "text", "name"))
    assert all(b - a >= 15 for a, b in pairwise(heights))
    assert heights[-1] <= 18 + 100 + 4
    assert elements(curve([LINE], "x"), "text", "name") == [], "one line needs no name"


def test_a_long_line_is_drawn_by_means_of_neighbours() -> None:
    points = [(float(k), float(k % 2)) for k in range(MOST_POINTS * 2)]
    (path,) = elements(curve([Series(name="x", points=points)], "x"), "path")
    drawn = places(path)
    assert len(drawn) == MOST_POINTS
    assert len({y for _, y in drawn}) == 1, "each pair of 0 and 1 has the mean 0.5"


def test_steps_have_whole_ticks_alone() -> None:
    drawing = curve([Series(name="x", points=[(0.0, 5.0), (1.0, 6.0)])], "x")
    below = [t.text for t in elements(drawing, "text") if t.attrib["text-anchor"] == "middle"]
    assert [text.text for text in elements(drawing, "text") if text.text == "step 0"] == ["step 0"]
    assert below == ["1"]


def test_a_constant_has_room_around_it() -> None:
    drawing = curve([Series(name="rate", points=[(0.0, 1e-4), (10.0, 1e-4)])], "x", height=100)
    (path,) = elements(drawing, "path")
    assert [y for _, y in places(path)] == [18 + 50, 18 + 50]


def test_screen_readers_are_told_ends_and_extremes() -> None:
    points = [(0.0, 1.0), (5.0, -3.0), (10.0, 2.0)]
    root = ElementTree.fromstring(curve([Series(name="gap", points=points)], "Gap"))
    (drawing,) = root.iter("svg") if root.tag == "svg" else [root[0]]
    assert drawing.attrib["role"] == "img"
    assert drawing.attrib["aria-label"] == (
        "Gap: gap from 1.000 at step 0 to 2.000 at step 10, "
        "lowest \N{MINUS SIGN}3.000 at 5, highest 2.000 at 10"
    )


@pytest.mark.parametrize("name", ['"><script>', "a & b", "bell\x07"])
def test_names_are_escaped_and_curves_are_well_formed(name: str) -> None:
    lines = [Series(name=name, points=LINE.points, marked=True), LINE]
    drawing = curve(lines, name, guide=Guide(1, name), level=0.5)
    ElementTree.fromstring(drawing)
    assert "<script" not in drawing
    assert "\x07" not in drawing


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.41234, "0.4123"),
        (21, "21.00"),
        (-1.5, "\N{MINUS SIGN}1.500"),
        (12345.6, "1.235e+04"),
        (0, "0"),
        (1e-5, "1e\N{MINUS SIGN}05"),
        (math.nan, "\N{EN DASH}"),
    ],
)
def test_a_number_has_four_digits(value: float, text: str) -> None:
    assert short(value) == text


def test_an_axis_may_count_something_else_than_steps() -> None:
    drawing = curve([LINE], "x", unit="pairs")
    told = [text.text or "" for text in elements(drawing, "text")]
    assert any(text.startswith("pairs 0") for text in told)
    assert not any("step" in text for text in told)


def test_a_band_may_reach_farther_below_than_above() -> None:
    line = Series(name="x", points=[(0.0, 1.0), (10.0, 1.0)], spread=[0.0, 0.0], below=[1.0, 1.0])
    above = Series(name="x", points=[(0.0, 1.0), (10.0, 1.0)], spread=[1.0, 1.0], below=[0.0, 0.0])
    drawn = [str(curve([one], "y")) for one in (line, above)]
    assert drawn[0] != drawn[1]
    ticks = [[float(t) for t in re.findall(r">([0-9.]+)</text>", one)] for one in drawn]
    assert min(ticks[0]) < 1 <= max(ticks[1])
