"""A rule says what it asks, and refuses what does not fit together."""

import pytest

from beholder.errors import ConfigError
from beholder.eval._filter.rule import Rule
from beholder.eval._filter.statistics import Statistic


def test_the_columns_asked_come_in_the_order_in_which_they_are_missed() -> None:
    rule = Rule(
        where="b > 1 and a < 2", top=1, score="zscore(c) + a", by="m", budget=9, stratify="s"
    )
    asked = rule.asked(["a", "b", "c", "m", "s"])
    assert asked.columns == ["b", "a", "c", "m", "s"]
    assert asked.statistics == [Statistic("zscore", "c")]


def test_a_column_of_any_name_ranks_rows() -> None:
    score = Rule(top=1, score="my score").ranked_by(["my score"])
    assert score is not None
    assert score.columns == ["my score"]
    with pytest.raises(ConfigError, match="cannot read the rule 'my score'"):
        Rule(top=1, score="my score").ranked_by(["a"])


def test_steps_are_named_as_they_are_asked() -> None:
    rule = Rule(top=0.25, score="a", by="m", budget=2_000_000, stratify="s", shares="equal")
    assert rule.top_stage == "top 0.25 of each m by a"
    assert rule.budget_stage == "best 2,000,000 by a, equal shares of s"
    assert (Rule().top_stage, Rule().budget_stage) == ("", "")


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        ({"budget": 0, "score": "a"}, "from 1 on, got 0"),
        ({"budget": 5}, "budget needs the column of scores"),
        ({"stratify": "m"}, "is to share a budget"),
        ({"budget": 5, "score": "a", "shares": "fair"}, "proportional or equal, got 'fair'"),
    ],
)
def test_budgets_that_do_not_fit_are_refused(rule: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Rule(**rule)  # type: ignore[arg-type]
