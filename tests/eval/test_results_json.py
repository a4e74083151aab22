import json
import math
from dataclasses import replace
from typing import Any

import pytest

from beholder.eval._bootstrap import Interval
from beholder.eval.leaderboard import Leaderboard
from beholder.eval.ranking import Ranking, Standing, rank
from beholder.eval.results_json import VERSION, results_json, standard_error

SCORES = {"a": [1.0, 2.0, 4.0, 5.0], "b": [0.5, 2.5, 3.0, 3.0]}


def ranking(score: str, rows: range = range(4)) -> Ranking:
    """Two checkpoints on some of four prompts; b's last picture has no score."""
    cells = [(model, f"p{k}", SCORES[model][k]) for model in SCORES for k in rows]
    columns: dict[str, list[Any]] = {
        "model": [model for model, _, _ in cells],
        "prompt": [prompt for _, prompt, _ in cells],
        score: [math.nan if cell[:2] == ("b", "p3") else cell[2] for cell in cells],
    }
    return rank(columns, score=score, draws=200, seed=7)


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    both = {score: ranking(score) for score in ("mps.total", "hps.total")}
    return Leaderboard(
        by="model",
        scores=list(both),
        rankings=both,
        tiers={score: [["a", "b"]] for score in both},
        categories={"animals": {score: ranking(score, range(2)) for score in both}},
        protocol={"resampled": "prompts"},
    )


@pytest.fixture(scope="module")
def told(board: Leaderboard) -> dict[str, Any]:
    return results_json(board, {"mps": {"weights": "abc"}}, date=5.0)


def standing(board: Leaderboard, name: str) -> Standing:
    return next(s for s in board.rankings["mps.total"].standings if s.name == name)


def test_each_checkpoint_stands_where_a_task_would(
    told: dict[str, Any], board: Leaderboard
) -> None:
    assert list(told["results"]) == ["a", "a/animals", "b", "b/animals"]
    first = told["results"]["a"]
    assert first["alias"] == "a"
    assert first["mps.total,none"] == 3.0  # (1 + 2 + 4 + 5) / 4
    assert first["mps.total_win_rate,none"] == pytest.approx(2 / 3)  # of three shared prompts
    assert first["hps.total,none"] == 3.0
    assert told["results"]["b"]["mps.total,none"] == 2.0  # (0.5 + 2.5 + 3) / 3
    assert told["results"]["a/animals"]["mps.total,none"] == 1.5
    assert first["mps.total_strength,none"] == standing(board, "a").strength


def test_standard_errors_are_those_of_the_draws(told: dict[str, Any], board: Leaderboard) -> None:
    one, said = standing(board, "a"), told["results"]["a"]
    assert said["mps.total_stderr,none"] == one.mean_error > 0
    assert said["mps.total_win_rate_stderr,none"] == one.win_rate_error
    assert said["mps.total_strength_stderr,none"] == one.strength_error
    interval = one.mean_interval
    assert told["intervals"]["a"]["mps.total"] == [interval.low, interval.high]


def test_without_them_they_belong_to_the_interval(board: Leaderboard) -> None:
    ranking = board.rankings["mps.total"]
    bare = [replace(one, mean_error=math.nan) for one in ranking.standings]
    told = results_json(replace(board, rankings={"mps.total": replace(ranking, standings=bare)}))
    interval = standing(board, "a").mean_interval
    error = told["results"]["a"]["mps.total_stderr,none"]
    assert 2 * 1.959964 * error == pytest.approx(interval.high - interval.low, rel=1e-6)


def test_a_standard_error_comes_back_from_the_interval_of_a_normal_estimate() -> None:
    assert standard_error(Interval(-1.959964 * 0.3, 1.959964 * 0.3)) == pytest.approx(0.3)
    assert standard_error(Interval(-0.3, 0.3), level=0.682689) == pytest.approx(0.3, rel=1e-5)


def test_counts_and_directions_are_of_every_task(told: dict[str, Any]) -> None:
    tasks = set(told["results"])
    for key in ("configs", "versions", "n-shot", "higher_is_better", "n-samples", "intervals"):
        assert set(told[key]) == tasks, key
    assert told["n-samples"]["b"] == {"original": 4, "effective": 3}
    assert told["configs"]["b/animals"] == {
        "task": "b/animals",
        "model": "b",
        "category": "animals",
        "prompts": {"mps.total": 2, "hps.total": 2},
        "pictures": {"mps.total": 2, "hps.total": 2},
        "missing": {"mps.total": 0, "hps.total": 0},
    }
    assert set(told["versions"].values()) == {VERSION}
    metrics = {name.partition(",")[0] for name in told["results"]["a"]} - {"alias"}
    named = {metric for metric in metrics if not metric.endswith("_stderr")}
    assert told["higher_is_better"]["a"] == dict.fromkeys(named, True)


def test_categories_are_the_subtasks_of_their_checkpoint(told: dict[str, Any]) -> None:
    assert told["group_subtasks"] == {"a": ["a/animals"], "b": ["b/animals"]}
    assert told["groups"] == {name: told["results"][name] for name in ("a", "b")}


def test_what_the_numbers_depend_on_is_kept(told: dict[str, Any]) -> None:
    config = told["config"]
    assert config["rewards"] == {"mps": {"weights": "abc"}}
    assert (config["bootstrap_iters"], config["random_seed"]) == (200, 7)
    assert config["protocol"] == {"resampled": "prompts"}
    assert told["tiers"]["mps.total"] == [["a", "b"]]
    assert told["comparisons"]["mps.total"][0]["first"] == "a"
    assert told["date"] == 5.0


def test_unknown_numbers_are_valid_json_and_errors_na_as_there(board: Leaderboard) -> None:
    one = {score: ranking(score, range(1)) for score in board.scores}
    small = Leaderboard(by="model", scores=board.scores, rankings=one, tiers={})
    told = results_json(small)
    assert told["results"]["a"]["mps.total_stderr,none"] == "N/A"
    assert told["intervals"]["a"]["mps.total"] == [None, None]
    assert told["group_subtasks"] == {"a": [], "b": []}
    assert "groups" not in told
    assert "date" not in told
    assert json.loads(json.dumps(told, allow_nan=False)) == told
