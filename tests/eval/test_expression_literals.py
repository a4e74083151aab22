"""Literals are what they say, and anything else is none."""

import ast

import pytest

from beholder.errors import ConfigError
from beholder.eval._expression_literals import folded, members, signed


def node(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2 - 2.0", 0.0),
        ("-3 * (1 + 1) / 4", -1.5),
        ("False", 0.0),
        ("1 / 0", None),
        ("9 ** 9", None),
        ("a - a", None),
        ("abs(0)", None),
        ("'0'", None),
        ("1" + "0" * 400, None),
    ],
)
def test_numbers_of_literals_alone_are_known(text: str, number: float | None) -> None:
    assert folded(node(text)) == number


def test_a_sign_belongs_to_its_number() -> None:
    found = [signed(node(text)) for text in ("-2", "+0.5", "-a", "not 1", "-True")]  # type: ignore[arg-type]
    assert found == [-2, 0.5, None, None, None]


def test_lists_hold_literals() -> None:
    assert members(node("[-1, 'x', 2.5, True]")) == [-1, "x", 2.5, True]
    assert members(node("()")) == []
    for text, said in (("animals", "`in` needs a list"), ("[animals]", "quote a text")):
        with pytest.raises(ConfigError, match=said):
            members(node(text))
