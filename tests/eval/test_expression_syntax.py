"""A rule that cannot be read says what to write, or where it breaks."""

import ast

import pytest

from beholder.eval._expression_syntax import fault_in


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("category = 'x'", "= sets a value; write == to compare"),
        (
            "niqe.total >",
            "it ends after 'niqe.total >', where a column, number or text is expected",
        ),
        ("a > 1 and", "it ends after 'a > 1 and', where a column, number or text is expected"),
        ("a > > 1", "invalid syntax at character 5, '> 1'"),
        ("a > 1)", "unmatched ')' at character 6, ')'"),
        ("'a=b' x", "at character 7, 'x'"),
        ("", "it is empty"),
    ],
)
def test_the_place_and_the_remedy_are_told(rule: str, said: str) -> None:
    with pytest.raises(SyntaxError) as caught:
        ast.parse(rule, mode="eval")
    told = fault_in(rule, caught.value)
    assert told.startswith(f"cannot read the rule {rule!r}: ")
    assert told.endswith(said)
