import math
import re

from beholder._page.scatter import Spot, scatter

SPOTS = [
    Spot(name="cheap", x=0.0, y=0.0, is_best=True),
    Spot(name="beaten", x=0.5, y=0.0),
    Spot(name="good", x=1.0, y=1.0, tone="tone-2", is_best=True),
]


def places(html: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y)) for x, y in re.findall(r'<circle[^>]* cx="(.*?)%" cy="(.*?)%"', html)
    ]


def test_points_lie_in_their_order_with_room_around_them() -> None:
    cheap, beaten, good = places(scatter(SPOTS, "x", "y", "label"))
    assert 5 < cheap[0] < beaten[0] < good[0] < 95
    assert good[1] < cheap[1] == beaten[1]
    assert beaten[0] == 50


def test_the_front_joins_the_best_and_they_alone_are_full() -> None:
    html = scatter(SPOTS, "x", "y", "label")
    assert (html.count('class="dot"'), html.count('class="ring"')) == (2, 1)
    (line,) = re.findall(r'<polyline class="front" points="(.*?)"', html)
    ends = [tuple(map(float, p.split(","))) for p in line.split()]
    assert ends == [places(html)[0], places(html)[2]]


def test_a_point_without_a_value_is_left_out_and_one_point_alone_lies_in_the_middle() -> None:
    html = scatter([Spot(name="a", x=1.0, y=2.0), Spot(name="b", x=math.nan, y=2.0)], "x", "y", "l")
    assert places(html) == [(50, 50)]
    assert "polyline" not in html


def test_names_are_text() -> None:
    html = scatter([Spot(name="<b>\x07", x=1, y=1)], "<i>", '"><script>', "<u>")
    assert "&lt;b&gt;\\x07" in html
    assert "&lt;i&gt;" in html
    assert "<script" not in html
