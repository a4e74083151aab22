"""Rows of benchmarks: what is written is what is read, and ratios are of rounds."""

from pathlib import Path

import pytest

from benchmarks._record import Missing, Row, Spread, record, recorded

ROW = Row(
    area="scoring",
    what="PickScore, 8 files",
    against="a loop",
    ratio=Spread(2.0, 1.5, 2.5),
    goal=1.8,
    peer="imscore 1.0",
    agreement="largest difference 1e-5",
    headline=True,
)
MISSING = Missing(area="serving", what="LitServe", reason="not installed: make peers")


def test_a_ratio_is_taken_within_each_round() -> None:
    # the second round was ten times as slow for both, and says the same as the first
    assert Spread.of_ratios([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == Spread(2.0, 2.0, 3.0)


def test_rounds_of_two_lengths_are_no_rounds() -> None:
    with pytest.raises(ValueError, match="zip"):
        Spread.of_ratios([1.0, 2.0], [1.0])


def test_a_range_of_one_round_is_not_shown() -> None:
    assert Spread.of([2.0]).told() == "2.00"
    assert Spread.of([2.0, 4.0, 3.0]).told(1) == "3.0 [2.0, 4.0]"


def test_what_is_recorded_is_read_again_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    record([ROW], file)
    record([MISSING], file)
    assert recorded(file) == [ROW, MISSING]


def test_nothing_is_read_where_nobody_wrote(tmp_path: Path) -> None:
    record([ROW], None)
    assert recorded(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("goal", "better", "reached"),
    [
        (None, "higher", True),
        (2.0, "higher", True),
        (2.1, "higher", False),
        (2.0, "lower", True),
        (1.9, "lower", False),
    ],
)
def test_a_goal_is_reached_from_its_better_side(goal: float, better: str, reached: bool) -> None:
    row = Row(area="a", what="b", against="c", ratio=Spread(2, 2, 2), goal=goal, better=better)  # type: ignore[arg-type]
    assert row.reaches_goal is reached
