from dataclasses import replace

import numpy as np
import pytest

from beholder._verbs.rank_text import leaderboard_text, ranking_text
from beholder.eval._bootstrap import Interval
from beholder.eval._ranking.agreement import Agreement, Flip
from beholder.eval.leaderboard import Leaderboard
from beholder.eval.pareto import Objective, pareto_front
from beholder.eval.protocols import Accuracy
from beholder.eval.ranking import Compared, Ranking, rank, tiers


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    columns: dict[str, list[object]] = {
        "model": ["a", "b"] * 3 + [None],
        "prompt": [0, 0, 1, 1, 2, 2, 2],
        "s": [1, 2, 2, 1, 1, 1, 1],
    }
    return rank(columns, score="s", draws=20)


def test_a_ranking_says_who_is_not_told_apart(ranking: Ranking) -> None:
    text = ranking_text(ranking)
    assert "not told apart: a and b, p = 1" in text
    assert "3 prompts compared; 95% intervals, paired bootstrap over prompts;" in text
    assert "1 rows without model or prompt do not count" in text
    assert "group" not in text


def test_prompts_that_are_not_compared_are_told_with_their_reason(ranking: Ranking) -> None:
    compared = Compared(prompts=21, alone={"base": 1})
    odd = replace(ranking, prompts=22, compared=compared)
    assert "\n21 prompts compared, left out: 1 that only base has; 95% " in ranking_text(odd)


def test_who_shares_a_letter_is_not_told_apart(ranking: Ranking) -> None:
    assert tiers(ranking) == [["a", "b"]]
    text = ranking_text(ranking, [["a"], ["a", "b"]])
    rows = {line.split()[0]: line.split()[1] for line in text.splitlines()[2:4]}
    assert rows == {"a": "ab", "b": "b"}
    many = ranking_text(ranking, [["a"]] * 27 + [["b"]])
    assert "(27)" in many
    assert "(28)" in many


@pytest.fixture(scope="module")
def agreement() -> Agreement:
    unknown = Interval(float("nan"), float("nan"))
    return Agreement(
        column="s",
        aspect="overall",
        accuracy=Accuracy(
            accuracy=0.75,
            low=0.5,
            high=1.0,
            pairs=8,
            prompts=8,
            human_ties=0,
            equal_scores=0,
            log_loss=0.6,
        ),
        pairs_left_out=0,
        checkpoint_pairs=8,
        checkpoints=["a", "b"],
        people={"a": -1.0, "b": 1.0},
        score={"a": 1.0, "b": -1.0},
        kendall=float("nan"),
        kendall_interval=unknown,
        spearman=float("nan"),
        spearman_interval=unknown,
        flips=[Flip(people="b", score="a")],
        why="a correlation needs three checkpoints that people compared",
    )


def test_every_part_of_a_leaderboard_is_told(ranking: Ranking, agreement: Agreement) -> None:
    objectives = [Objective(name=n, values={"a": 1.0}, minimise=n == "cost") for n in ("x", "cost")]
    board = Leaderboard(
        by="model",
        scores=["s", "t"],
        rankings={"s": ranking, "t": ranking},
        tiers={"s": [["a", "b"]], "t": [["a"], ["b"]]},
        categories={"colour": {"s": ranking}},
        small_categories=["colour"],
        categories_left_out={"style": "one checkpoint"},
        objectives=objectives,
        pareto=pareto_front("ab", np.array([[1.0, 2.0], [1.0, np.nan]]), objectives),
        agreement=[agreement],
    )
    parts = leaderboard_text(board).split("\n\n")
    assert len(parts) == 6
    assert "a             1.333 a  1.333 a" in parts[1]
    assert parts[2].startswith("colour, 3 prompts compared; too few to rely on")
    assert parts[2].endswith("told apart: none")
    assert parts[3] == "not ranked: style: one checkpoint"
    assert "x (more)  cost (less)" in parts[4]
    assert "unknown" in parts[4]
    assert "0.750 [0.500, 1.000]" in parts[5]
    assert "s: people prefer b to a, the score does not" in parts[5]
    assert parts[5].endswith("that people compared")
