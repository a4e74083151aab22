"""Functions of rules take what they say, and say so otherwise."""

import numpy as np
import pyarrow as pa
import pytest

from beholder.errors import ConfigError
from beholder.eval._expression import parse_number
from beholder.eval._filter.frame import Frame
from beholder.eval._filter.statistics import Statistic, measured
from tests.eval.filtered import HeldRows

TABLE = pa.table({"a": [1.0, 2.0, 4.0], "b": [3, -1, 4], "m": ["x", "x", "y"]})


def value(text: str) -> list[float]:
    expression = parse_number(text)
    known = measured(HeldRows(TABLE), expression.statistics)
    rows = Frame.of(TABLE, np.arange(3), statistics=known)
    return [float(number) for number in expression.numbers(rows)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abs(b)", [3, 1, 4]),
        ("min(a, b, 2)", [1, -1, 2]),
        ("max(a, -b)", [1, 2, 4]),
        ("quantile(a, 0)", [1, 1, 1]),
        ("quantile(a, 0.75)", [3, 3, 3]),
        ("quantile(a, 1, m)", [2, 2, 4]),
        ("minmax(a)", [0, 1 / 3, 1]),
        ("robust(a)", [-1 / 1.5, 0, 2 / 1.5]),
        ("percentile(a, m)", [0.5, 1, 1]),
        ('percentile(column["a"])', [1 / 3, 2 / 3, 1]),
    ],
)
def test_values_worked_out_by_hand(text: str, expected: list[float]) -> None:
    assert value(text) == pytest.approx(expected)


def test_an_expression_tells_which_statistics_and_columns_it_needs() -> None:
    expression = parse_number("zscore(a, m) + 0.5 * quantile(b, 0.5)")
    assert expression.columns == ["a", "m", "b"]
    assert expression.statistics == [
        Statistic("zscore", "a", "m"),
        Statistic("quantile", "b", level=0.5),
    ]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("median(a)", "its functions are abs, min, max, quantile"),
        ("a.upper()", "its functions are"),
        ("min(a)", "takes two numbers or more, got 1"),
        ("abs(a, b)", "takes one number, got 2"),
        ("abs()", "takes one number, got 0"),
        ("zscore(a + 1)", r"zscore is of a column; write zscore\(mps.total\)"),
        ("zscore(a, 'm')", "zscore is of a column"),
        ("zscore(a, m, b)", "write zscore"),
        ("quantile(a)", r"write quantile\(mps.total, 0.9\)"),
        ("quantile(a, 1.5)", r"at a share in \[0, 1\]"),
        ("quantile(a, b)", r"at a share in \[0, 1\]"),
        ("quantile(a, q=0.5)", "not allowed in a rule"),
        ("abs(*a)", "not allowed in a rule"),
    ],
)
def test_calls_that_do_not_fit_say_what_to_write(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        parse_number(text)


def test_a_text_has_no_statistics() -> None:
    with pytest.raises(ConfigError, match="cannot compute with the text 'x' of m"):
        value("zscore(m)")
