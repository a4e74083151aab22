"""Each row fails the first thing that it fails, and the table may be cut anywhere."""

import numpy as np
import pyarrow as pa

from beholder.eval._filter.judging import VALUES, Judged, judge
from beholder.eval._filter.rule import Rule
from tests.eval.filtered import HeldRows

TABLE = pa.table(
    {
        "key": list("abcdefg"),
        "model": ["x", "y", "x", None, "y", "x", "y"],
        "mps.total": pa.array([1.0, 2.0, None, 4.0, None, 6.0, float("nan")], pa.float32()),
        "mps.error": [None, None, "cut: short", None, "cut: long", None, None],
    }
)


def judged(rule: Rule, part: int = 3) -> Judged:
    return judge(HeldRows(TABLE, part), rule.asked(TABLE.column_names), TABLE.column_names)


def reasons(found: Judged) -> list[str | None]:
    decision = found.decision(HeldRows(TABLE))
    return [decision.reason(row) for row in range(len(TABLE))]


def test_a_row_without_a_value_says_what_its_reward_says() -> None:
    assert reasons(judged(Rule(where='mps.total > 1 and model != "z"'))) == [
        "not mps.total > 1",
        None,
        "error: cut",
        "no value in model",
        "error: cut",
        None,
        "no value in mps.total",
    ]


def test_scores_strata_and_groups_are_those_of_the_rows() -> None:
    rule = Rule(where="mps.total < 5", score="2 * mps.total", budget=9, stratify="model")
    for part in (1, 2, 7):
        found = judged(rule, part)
        assert found.left().tolist() == [0, 1]
        assert found.scores[:2].tolist() == [2, 4]
        assert np.isnan(found.scores[2:]).all()
        assert found.strata.tolist() == [0, 1, 0, -1, 1, 0, 1]
        assert dict(found.strata_names) == {"x": 0, "y": 1}


def test_a_score_that_divides_by_zero_or_is_no_number_drops_the_row() -> None:
    found = judged(Rule(score="1 / (mps.total - 1) + 1e308 * mps.total * mps.total", budget=9))
    assert reasons(found)[:2] == [
        "division by zero in 1 / (mps.total - 1) + 1e+308 * mps.total * mps.total",
        "no value in 1 / (mps.total - 1) + 1e+308 * mps.total * mps.total",
    ]


def test_statistics_are_of_all_rows_before_any_is_dropped() -> None:
    rule = Rule(where="mps.total > 1 and mps.total >= quantile(mps.total, 0.5)")
    assert judged(rule).left().tolist() == [3, 5]  # of 1, 2, 4, 6 the middle is 3, not 4


def test_steps_and_progress_are_told() -> None:
    told: list[int] = []
    rule = Rule(where="mps.total > 1")
    found = judge(HeldRows(TABLE, 3), rule.asked([]), TABLE.column_names, told.append)
    assert told == [3, 3, 1]
    assert found.reasons.stages == [VALUES, "mps.total > 1", VALUES]
    found.drop(np.array([1]), "out", "mine")
    assert (found.reasons.texts[-1], found.reasons.stages[-1]) == ("out", "mine")
    assert found.left().tolist() == [3, 5]


def test_a_rule_that_asks_nothing_keeps_all() -> None:
    assert judged(Rule()).left().tolist() == list(range(7))
