"""Inputs are read anew at each iteration."""

from beholder._inputs.rows import Inputs, Row


def test_inputs_are_iterated_as_often_as_asked() -> None:
    row = Row(key="a", image=b"x", prompt=None, name="/x/a.png")
    inputs = Inputs(source="x", has_prompts=False, rows=lambda: iter([row, row]), count=lambda: 2)
    assert list(inputs) == list(inputs) == [row, row]
    assert len(inputs) == 2
    assert row.extra == {}
