import math
import random
import re
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from beholder._page import plots
from beholder._page.plots import Axis

UNIT = Axis(0.0, 1.0, (0.0, 0.5, 1.0))


def circles(drawing: Markup) -> dict[str, str]:
    found = ElementTree.fromstring(drawing).iter("circle")
    return {circle.attrib["class"]: circle.attrib["cx"] for circle in found}


def test_an_axis_holds_its_values_and_ticks_at_round_numbers() -> None:
    assert Axis.over([0.41, 0.93]) == Axis(0.41, 0.93, (0.6, 0.8))
    assert Axis.over([-1.69, 1.1]).ticks == (-1.0, 0.0, 1.0)
    assert Axis.over([0.0, 100.0]).ticks == (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)


def test_an_axis_of_one_value_centres_it_and_of_none_is_the_unit() -> None:
    assert Axis.over([3.0, math.nan]).at(3.0) == 50
    assert (Axis.over([]).low, Axis.over([math.inf]).high) == (0, 1)


def test_every_axis_has_two_to_seven_ticks_inside_it() -> None:
    chance = random.Random(0)
    for _ in range(500):
        low = chance.uniform(-1, 1) * 10 ** chance.randint(-4, 4)
        axis = Axis.over([low, low + chance.random() * 10 ** chance.randint(-3, 4)])
        assert 2 <= len(axis.ticks) <= 7, axis
        assert all(axis.low - 1e-9 <= tick <= axis.high + 1e-9 for tick in axis.ticks), axis


def test_values_outside_an_axis_lie_on_its_edge() -> None:
    assert [UNIT.at(value) for value in (-3.0, 0.25, 7.0)] == [0, 25, 100]


def test_tick_labels_have_the_decimals_that_they_need() -> None:
    assert Axis.over([0.0, 0.05]).label(0.02) == "0.02"
    assert UNIT.label(0.5) == "0.5"
    assert Axis.over([-30.0, 30.0]).label(-20.0) == "\N{MINUS SIGN}20"


def test_an_interval_lies_where_its_numbers_say() -> None:
    drawing = plots.interval(UNIT, 0.8, 0.7, 0.9, "MPS 0.8", guide=0.5)
    lines = {
        line.attrib["class"]: line.attrib for line in ElementTree.fromstring(drawing).iter("line")
    }
    assert circles(drawing) == {"dot": "80.0%"}
    assert (lines["whisker"]["x1"], lines["whisker"]["x2"]) == ("70.0%", "90.0%")
    assert lines["guide"]["x1"] == "50.0%"


def test_what_is_not_finite_is_not_drawn_in_an_interval() -> None:
    point = plots.interval(UNIT, 0.5, math.nan, math.nan, "x", height=16)
    assert circles(point) == {"dot small": "50.0%"}
    assert "whisker" not in point
    assert circles(plots.interval(UNIT, math.nan, math.nan, math.nan, "x")) == {}


def test_a_dumbbell_puts_the_first_picture_left() -> None:
    assert circles(plots.dumbbell(0.9, 0.25, "x")) == {"ring": "10.0%", "dot": "75.0%"}
    assert circles(plots.dumbbell(0.9, None, "x")) == {"ring": "10.0%"}


def test_counts_add_up_and_leave_out_what_is_not_finite() -> None:
    tally = plots.counts([0.0, 1.0, 1.0, math.nan, math.inf], UNIT)
    assert (tally[0], tally[-1], sum(tally)) == (1, 2, 3)


def test_the_fullest_bar_fills_the_height_that_the_peak_gives_it() -> None:
    drawing = plots.histogram(UNIT, [0.0, 0.0, 0.0, 1.0], "x", peak=0.75)
    heights = [bar.attrib["height"] for bar in ElementTree.fromstring(drawing).iter("rect")]
    assert heights == ["94.0%", "31.33%"]
    assert 'class="mean" x1="25.0%"' in drawing


def test_a_histogram_of_nothing_is_empty() -> None:
    assert "<rect" not in plots.histogram(UNIT, [math.nan], "x", peak=1.0)


def test_a_score_that_is_not_finite_has_no_place() -> None:
    assert circles(plots.place(UNIT, math.nan, "x")) == {}
    assert circles(plots.place(UNIT, 0.5, "x")) == {"dot small": "50.0%"}


def test_shares_fill_the_bar() -> None:
    drawing = plots.shares([("kept", 1), ("dropped", 3)], "x")
    assert re.findall(r'width="([\d.]+)%" y', drawing) == ["25.0", "75.0"]


@pytest.mark.parametrize("name", ['"><script>', "a & b", "bell\x07"])
def test_names_are_escaped_and_plots_are_well_formed(name: str) -> None:
    drawing = plots.interval(UNIT, 0.5, 0.4, 0.6, name)
    root = ElementTree.fromstring(drawing)
    assert root.attrib["aria-label"] == name.replace("\x07", "\\x07")
    assert root.attrib["role"] == "img"
    ElementTree.fromstring(plots.scale(UNIT, guide=0.5, name=name))


def test_values_that_differ_by_rounding_alone_are_one_value() -> None:
    axis = Axis.over([-3.7e-17, 0.0, 2.5e-17])
    assert axis.low == pytest.approx(-0.5)
    assert axis.high == pytest.approx(0.5)
    assert len(axis.ticks) > 1
    assert axis.label(axis.ticks[0]) == "\N{MINUS SIGN}0.4"
