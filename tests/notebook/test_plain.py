import math

import pytest

from beholder._notebook.plain import counted, figure, interval, shorten, visible


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.123456, "0.1235"), (-2, "-2"), (1204, "1,204"), (1e-7, "1e-07"), (None, "\N{EN DASH}"),
     (math.nan, "\N{EN DASH}"), (math.inf, "inf")],
)  # fmt: skip
def test_a_number_has_four_digits_and_one_that_is_not_known_is_a_dash(
    value: float | None, said: str
) -> None:
    assert figure(value) == said


def test_an_interval_without_a_bound_is_the_value_alone() -> None:
    assert interval(0.912, 0.88, 0.94) == "0.912 [0.88, 0.94]"
    assert interval(0.912, None, 0.94) == "0.912"
    assert interval(None, 0.88, 0.94) == "\N{EN DASH}"


def test_one_is_singular_and_thousands_are_grouped() -> None:
    assert [counted(n, "row") for n in (0, 1, 1204)] == ["0 rows", "1 row", "1,204 rows"]


def test_what_is_hidden_is_spelt_out_and_what_is_cut_ends_with_an_ellipsis() -> None:
    assert visible("a\x07b\u202egnp.exe\ud800\n") == "a\\x07b\\u202egnp.exe\\ud800 "
    assert visible(3) == 3
    assert shorten("a red fox", 6) == "a red…"
