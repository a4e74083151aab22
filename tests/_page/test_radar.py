import math
import re

import pytest

from beholder._page.plots import Axis
from beholder._page.radar import HEIGHT, RADIUS, WIDTH, Spoke, radar

HALVES = Axis(0.0, 1.0, (0.5, 1.0))
SERIES = {"first": {"up": 1.0, "right": 0.5, "down": 0.0, "left": 1.0}, "second": {"up": 0.5}}


def points(html: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polygon points="([^"]+)"', html)
    return [[(float(x), float(y)) for x, y in re.findall(r"(\S+),(\S+)", one)] for one in found]


def test_a_share_lies_on_its_spoke() -> None:
    up, right = Spoke("up", 0.0), Spoke("right", math.pi / 2)
    assert up.at(1) == (WIDTH / 2, HEIGHT / 2 - RADIUS)
    assert right.at(0.5) == (WIDTH / 2 + RADIUS / 2, HEIGHT / 2)
    assert (up.anchor, right.anchor, Spoke("left", 1.5 * math.pi).anchor) == (
        "middle",
        "start",
        "end",
    )


def test_a_polygon_has_a_corner_for_each_dimension_and_none_is_the_centre() -> None:
    first, second = points(radar(SERIES, HALVES, "label"))
    centre = (WIDTH / 2, HEIGHT / 2)
    assert first == [Spoke("", k * math.pi / 2).at(s) for k, s in enumerate((1, 0.5, 0, 1))]
    assert second == [Spoke("", 0).at(0.5), centre, centre, centre]


def test_each_series_has_its_class_its_colour_and_every_second_two_other_dashes() -> None:
    html = radar({str(k): {"a": 0.5, "b": 0.5, "c": 0.5} for k in range(9)}, HALVES, "label")
    assert html.count("series-") == 9
    assert 'class="series series-8 tone-0"' in html
    assert len(set(re.findall(r'stroke-dasharray="([^"]+)"', html))) == 4


def test_names_are_text() -> None:
    html = radar({"<b>": {"<i>\x07": 0.5, "b": 0.5, "c": math.nan}}, HALVES, '"><script>')
    assert "&lt;i&gt;\\x07" in html
    assert re.findall("<(?!/?(?:svg|polygon|line|text|circle|g|title)[ >])", html) == []


@pytest.mark.parametrize("count", [3, 4, 7])
def test_rings_and_spokes_are_drawn_for_any_number_of_dimensions(count: int) -> None:
    html = radar({"x": {str(k): 0.5 for k in range(count)}}, HALVES, "label")
    assert (html.count('class="ring"'), html.count('class="spoke"')) == (2, count)
