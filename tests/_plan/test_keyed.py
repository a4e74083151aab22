"""Paths that repeat are numbered as `read_inputs` numbers them; own keys must not repeat."""

import pytest

from beholder._inputs.rows import Row
from beholder._plan.keyed import check_unique, keyed
from beholder.errors import DataError


def numbered(*given: tuple[str, bool]) -> list[str]:
    rows = [(Row(key=key, image=None, prompt=None, name=""), is_path) for key, is_path in given]
    return [row.key for row in keyed(lambda: iter(rows), "m")]


def test_paths_are_numbered() -> None:
    given = ["a", "b", "a", "c", "a", "b"]
    assert numbered(*((key, True) for key in given)) == ["a", "b", "a#2", "c", "a#3", "b#2"]
    assert numbered(("a", False), ("b", True)) == ["a", "b"]


@pytest.mark.parametrize("given", [("a", "a", "b"), ("b", "a", "a")])
def test_a_key_that_repeats_is_told(given: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="m: key 'a' occurs twice"):
        numbered(*((key, False) for key in given))
    with pytest.raises(DataError, match="m: 1 keys occur twice"):
        check_unique(given, "m")
    check_unique(set(given), "m")


def test_a_key_may_not_be_the_path_of_another() -> None:
    with pytest.raises(DataError, match="occurs twice"):
        numbered(("a", True), ("a", False))
    assert numbered(("a", False), ("a", True)) == ["a", "a#2"]
    with pytest.raises(DataError, match="ends in #2"):
        numbered(("a#2", True), ("a", True), ("a", True))
