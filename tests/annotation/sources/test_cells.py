import pytest

from beholder.annotation.sources._cells import LeftOutError, Row, competition_ranks

ROW = Row(1, {"t": "a fox", "n": 2, "x": 0.5, "ts": ["a", "b"], "ns": [1, 0.5], "none": None})


def test_cells_of_the_right_kind_come_back() -> None:
    assert ROW.text("t") == "a fox"
    assert (ROW.number("n"), ROW.number("x")) == (2, 0.5)
    assert ROW.texts("ts") == ("a", "b")
    assert ROW.numbers("ns") == (1, 0.5)
    assert ROW.pictures("ts", [1, 2]) == ("a", "b")


@pytest.mark.parametrize("value", [None, "", "  ", 3, ["a"], b"a"])
def test_other_cells_than_text_are_left_out(value: object) -> None:
    with pytest.raises(LeftOutError, match=r"^t is no text: ") as caught:
        Row(1, {"t": value}).text("t")
    assert caught.value.reason == "t is no text"


@pytest.mark.parametrize("value", [None, "1", True, float("nan"), float("inf"), [1]])
def test_other_cells_than_finite_numbers_are_left_out(value: object) -> None:
    with pytest.raises(LeftOutError, match="n is no number"):
        Row(1, {"n": value}).number("n")
    with pytest.raises(LeftOutError, match="n is no number"):
        Row(1, {"n": [1, value]}).numbers("n")


def test_text_that_utf8_cannot_hold_is_left_out() -> None:
    with pytest.raises(LeftOutError, match=r"not valid Unicode: 'a\\udcff'"):
        Row(1, {"t": "a\udcff"}).text("t")


def test_a_row_that_is_no_object_is_left_out() -> None:
    with pytest.raises(LeftOutError, match="the row is no object: \\[1\\]"):
        Row.of(4, [1])
    with pytest.raises(LeftOutError, match="its own fault"):
        Row.of(4, LeftOutError("its own fault"))


@pytest.mark.parametrize(("names", "ranks"), [(["a", "b"], [1]), (["a"], [1]), ([], [])])
def test_pictures_and_ranks_must_fit(names: list[str], ranks: list[float]) -> None:
    with pytest.raises(LeftOutError, match="not as many ranks"):
        Row(1, {"p": names}).pictures("p", ranks)


def test_equal_values_share_a_rank_and_the_next_one_counts_them() -> None:
    assert competition_ranks([0, 2, 2, 7]) == (1, 2, 2, 4)
    assert competition_ranks([4, 5, 3, 2, 1, 5]) == (4, 5, 3, 2, 1, 5)
    assert competition_ranks([2.5, 0.5, 2.5]) == (2, 1, 2)
