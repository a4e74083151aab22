from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from beholder._page.wording import MINUS, UNKNOWN
from beholder.eval._bootstrap import Interval
from beholder.eval._report.board import Board, Column, Mark, checkpoint_figures, heat
from beholder.eval.leaderboard import Leaderboard, Objective, ParetoPoint
from beholder.eval.ranking import Ranking, rank, tiers


def ranked(score: str, shifts: dict[str, float], prompts: int = 40) -> Ranking:
    chance = np.random.default_rng(0)
    values = [chance.normal(shift, 0.3, prompts) for shift in shifts.values()]
    columns: dict[str, Sequence[Any] | np.ndarray[Any, Any]] = {
        "model": [name for name in shifts for _ in range(prompts)],
        "prompt": [str(k) for _ in shifts for k in range(prompts)],
        score: np.concatenate(values),
    }
    return rank(columns, score=score, draws=200)


@pytest.fixture(scope="module")
def said() -> Leaderboard:
    rankings = {
        "r.total": ranked("r.total", {"a": 2.0, "b": 0.0, "c": 0.02}),
        "s.total": ranked("s.total", {"a": 0.0, "b": 1.0, "c": 2.0}),
    }
    points = {"a": (2.0, 9.0), "b": (0.0, 1.0), "c": (0.1, 2.0)}
    return Leaderboard(
        by="model",
        scores=list(rankings),
        rankings=rankings,
        tiers={name: tiers(ranking) for name, ranking in rankings.items()},
        categories={"x": {"r.total": ranked("r.total", {"a": 1.0, "b": 0.0}, 5)}},
        objectives=[
            Objective(name="r", column="r.total"),
            Objective(name="cost", minimise=True, values={"a": 9.0}),
        ],
        pareto=[
            ParetoPoint(
                name=name,
                values={"r": r, "cost": cost},
                on_front=name != "c",
                dominated_by=[],
                missing=[],
                frequency=1.0,
            )
            for name, (r, cost) in points.items()
        ],
    )


def test_each_score_has_its_standings_and_its_groups(said: Leaderboard) -> None:
    first, second = Board(said).columns
    assert next(s.name for s in first.ranking.standings) == "a"
    assert [sorted(group) for group in first.ties] == [["b", "c"]]
    assert [s.name for s in second.ranking.standings] == ["c", "b", "a"]
    assert second.ties == []


def test_an_axis_holds_every_interval_and_that_of_win_rates_one_half(said: Leaderboard) -> None:
    column = Board(said).columns[0]
    for standing in column.ranking.standings:
        for mark in column.marks(standing):
            assert mark.axis.low <= mark.low <= mark.value <= mark.high <= mark.axis.high
    assert column.axes["win_rate"].low <= 0.5 <= column.axes["win_rate"].high


def test_a_number_is_told_with_its_interval(said: Leaderboard) -> None:
    axis = Board(said).columns[0].axes["mean"]
    assert (
        Mark("win rate", 0.5, 0.25, 0.75, axis).told == "win rate 50 %, 95 % interval 25 % to 75 %"
    )
    assert (
        Mark("mean", -1.0, float("nan"), 2.0, axis).told
        == f"mean {MINUS}1.00, 95 % interval {UNKNOWN} to 2.00"
    )


def test_small_numbers_keep_the_digits_that_tell_them_apart(said: Leaderboard) -> None:
    ranking = ranked("r.area", {"a": 2.0, "b": 0.0})
    tiny = [
        replace(s, mean=s.mean / 1000, mean_interval=Interval(s.mean / 1001, s.mean / 999))
        for s in ranking.standings
    ]
    column = Column(0, "r.area", replace(ranking, standings=tiny), [])
    (best, *_) = tiny
    assert [mark.text for mark in column.marks(best)][2] == f"{best.mean:.4f}"
    cheap = [replace(p, values={"r": 1.0, "cost": p.values["cost"] / 1000}) for p in said.pareto]
    assert Board(replace(said, pareto=cheap)).digits == {"r": 2, "cost": 4}


def test_less_of_a_cost_lies_further_up(said: Leaderboard) -> None:
    (plane,) = Board(said).planes
    assert (plane.x, plane.y) == ("r", "less cost")
    assert {s.name: (s.x, s.y, s.is_best) for s in plane.spots} == {
        "a": (2.0, -9.0, True),
        "b": (0.0, -1.0, True),
        "c": (0.1, -2.0, False),
    }


def test_a_checkpoint_has_one_colour_all_over_the_page(said: Leaderboard) -> None:
    board = Board(said)
    assert [board.tone(name) for name in said.names] == ["tone-0", "tone-1", "tone-2"]
    assert board.tone("stranger") == ""


def test_categories_hold_the_standings_of_their_score(said: Leaderboard) -> None:
    board = Board(said)
    assert set(board.categories("r.total")["x"]) == {"a", "b"}
    assert board.categories("s.total") == {}


def test_a_cell_is_tinted_by_its_distance_from_one_half() -> None:
    assert [heat(x) for x in (0.0, 0.5, 0.75, 1.0, float("nan"))] == [
        "40%",
        "0%",
        "20%",
        "40%",
        "0%",
    ]


def test_the_best_win_rates_stand_at_the_top(said: Leaderboard) -> None:
    figures = checkpoint_figures(said)
    assert [figure.name for figure in figures] == said.names
    assert int(figures[0].value) > 90
    assert checkpoint_figures(None) == []
