import re

from markupsafe import Markup

from beholder._page.plots import Axis
from beholder.eval._filter_card.drawing import HEIGHT, bars_axis, share_bar, stacked, value
from beholder.eval._filter_card.tally import Bar

BARS = [Bar(0.0, 1.0, 0, 30), Bar(1.0, 2.0, 10, 50), Bar(2.0, 4.0, 0, 0)]


def rects(svg: Markup, kind: str) -> list[tuple[float, ...]]:
    """x and width in percent, y and height in pixels of each bar of a kind."""
    found = re.findall(
        rf'<rect class="{kind}" x="(.*?)%" width="(.*?)%" y="(.*?)" height="(.*?)"', svg
    )
    return [tuple(map(float, each)) for each in found]


def test_dropped_rows_stand_on_kept_ones_as_tall_as_they_are_many() -> None:
    svg = stacked(BARS, [], "x")
    ((_, width, y, tall),) = rects(svg, "kept")
    (first, second) = rects(svg, "dropped")
    assert tall == round(HEIGHT * 10 / 60, 2)
    assert second[3] == round(HEIGHT * 50 / 60, 2)
    assert abs(second[2] + second[3] - y) < 0.02
    assert first[3] == HEIGHT / 2
    assert 20 < width < 25


def test_each_mark_is_a_line_with_its_name_and_no_line_crosses_a_name() -> None:
    svg = stacked(BARS, [(0.4, "low"), (1.0, "mid <"), (3.2, "high"), (3.6, "top")], "x")
    lines = re.findall(r'<line class="cut" x1="(.*?)%".*?y1="(.*?)"', svg)
    assert lines == [("10.0", "2"), ("25.0", "18"), ("90.0", "34"), ("80.0", "50")]
    assert re.findall(r'text-anchor="(\w+)">(low|mid &lt;|high|top)<', svg) == [
        ("start", "low"),
        ("start", "mid &lt;"),
        ("end", "top"),
        ("end", "high"),
    ]


def test_names_of_two_marks_in_the_middle_lean_away_from_each_other() -> None:
    svg = stacked(BARS, [(2.2, "upper"), (1.8, "lower")], "x")
    assert re.findall(r'y="(\d+)" text-anchor="(\w+)">(upper|lower)<', svg) == [
        ("12", "start", "upper"),
        ("28", "end", "lower"),
    ]


def test_a_single_row_is_seen_beside_a_million() -> None:
    svg = stacked([Bar(0, 1, 1, 0), Bar(1, 2, 0, 10**6)], [], "x")
    assert rects(svg, "kept")[0][3] == 0.75


def test_the_axis_spans_the_bars() -> None:
    assert (bars_axis(BARS).low, bars_axis(BARS).high) == (0, 4)
    assert bars_axis([]) == Axis.over([])


def test_a_share_is_as_long_as_it_is_large() -> None:
    assert '<rect class="kept" width="25.0%"' in share_bar(1, 4, "1 of 4")
    assert '<rect class="kept" width="0.0%"' in share_bar(0, 0, "none")


def test_values_have_four_digits_and_a_true_minus() -> None:
    assert [value(x) for x in (-0.123456, 1e-7, 1234567.0, float("nan"))] == [
        "\N{MINUS SIGN}0.1235",
        "1e\N{MINUS SIGN}07",
        "1.235e+06",
        "none",
    ]
