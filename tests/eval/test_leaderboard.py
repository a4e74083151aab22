"""Leaderboards of a small table whose order is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._ranking.cells import gather
from beholder.eval._ranking.neighbours import neighbours_needed
from beholder.eval.evaluation_differences import holm
from beholder.eval.leaderboard import Leaderboard, LeaderboardConfig, Objective, leaderboard
from beholder.eval.ranking import rank
from beholder.tables import ScoreTable
from beholder.types import Preference

PROMPTS, SEEDS = 30, 2
QUALITY = {"a": 0.0, "b": 0.1, "c": 2.0}
CATEGORIES = ("colour", "count", "", '["colour", "style"]', "lonely")


def category(prompt: int) -> str:
    """Twelve prompts of colour in a way, one where only one checkpoint has pictures."""
    return CATEGORIES[4] if prompt == 29 else CATEGORIES[prompt % 4]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ScoreTable:
    rng = np.random.default_rng(1)
    rows = [
        {
            "key": f"{model}{p}-{seed}",
            "image": f"/p/{model}{p}-{seed}.png",
            "prompt": f"prompt {p}",
            "model": model,
            "seed": seed,
            "category": category(p),
            "half": "even" if p % 2 else "odd",
        }
        for p in range(PROMPTS)
        for model in ("a" if p == 29 else "abc")
        for seed in range(SEEDS)
    ]
    noise = rng.normal(size=(2, len(rows)))
    found = ScoreTable(tmp_path_factory.mktemp("board") / "scores")
    with found.writing() as writer:
        writer.add_inputs(rows)
        writer.claim("r", {"reward": "r"})
        columns = {
            "key": [row["key"] for row in rows],
            "r.total": [QUALITY[str(r["model"])] + noise[0, k] for k, r in enumerate(rows)],
            "r.detail": noise[1].tolist(),
            "r.error": [None] * len(rows),
        }
        columns["r.total"][3] = None
        columns["r.error"][3] = "truncated: cut"
        writer.add_scores("r", columns)
    return found


@pytest.fixture(scope="module")
def board(table: ScoreTable) -> Leaderboard:
    judged = [
        Preference(
            key=str(p),
            prompt=f"prompt {p}",
            first=f"/p/{first}{p}-0.png",
            second=f"/p/{second}{p}-0.png",
            p_first={"overall": 1.0},
        )
        for p in range(PROMPTS - 1)
        for first, second in ("cb", "ba", "ca")
    ]
    config = LeaderboardConfig(
        scores=["r.total", "r.detail"],
        categories=["category"],
        draws=100,
        pareto=[
            Objective(name="quality", column="r.total"),
            Objective(name="cost", minimise=True, values={"a": 1.0, "b": 1.0, "c": 9.0}),
        ],
        judgements=judged,
        certainty=0.9,
    )
    return leaderboard(table, config)


def test_the_first_score_decides_the_order_and_all_are_ranked(
    table: ScoreTable, board: Leaderboard
) -> None:
    assert board.names[0] == "c"
    assert list(board.rankings) == ["r.total", "r.detail"]
    columns = table.arrays(["model", "prompt", "seed", "r.detail"])
    assert board.rankings["r.detail"] == rank(columns, score="r.detail", draws=100)
    assert board.tiers["r.total"][0] == ["c"]
    assert sorted(board.tiers["r.total"][1]) == ["a", "b"]
    assert len(board.tiers["r.detail"]) == 1


def test_every_dimension_has_its_mean(board: Leaderboard) -> None:
    means = board.dimensions()
    assert list(means) == board.names
    standing = board.rankings["r.detail"].standings[0]
    assert means[standing.name]["r.detail"] == standing.mean


def test_categories_are_ranked_by_themselves(table: ScoreTable, board: Leaderboard) -> None:
    assert list(board.categories) == ["colour", "count", "style"]
    columns = table.arrays(["model", "prompt", "seed", "category", "r.total"])
    mine = [k for k, name in enumerate(columns["category"]) if "colour" in name]
    alone = rank({k: v[mine] for k, v in columns.items()}, score="r.total", draws=100)
    found = board.categories["colour"]["r.total"]
    assert found.prompts == 15
    assert [s.mean_interval for s in found.standings] == [s.mean_interval for s in alone.standings]
    assert "only" not in board.small_categories
    assert list(board.small_categories) == ["colour", "count", "style"]
    assert "found a" in board.categories_left_out["lonely"]


def test_categories_are_corrected_together(board: Leaderboard) -> None:
    meetings = [m for part in board.categories.values() for m in part["r.total"].meetings]
    assert len(meetings) == 9
    assert [m.p_adjusted for m in meetings] == holm([m.p_value for m in meetings])
    assert [m.told_apart for m in meetings] == [m.p_adjusted < 0.05 for m in meetings]


def test_several_category_columns_say_which(table: ScoreTable) -> None:
    config = LeaderboardConfig(scores=["r.total"], categories=["category", "half"], draws=10)
    found = leaderboard(table, config)
    assert "half=even" in found.categories
    assert "category=count" in found.categories


def test_quality_is_traded_for_cost(table: ScoreTable, board: Leaderboard) -> None:
    points = {point.name: point for point in board.pareto}
    assert points["c"].on_front
    better = max("ab", key=lambda name: points[name].values["quality"])
    assert points[better].on_front
    assert points["c"].frequency == 1.0
    assert points["a"].frequency + points["b"].frequency == pytest.approx(1.0)


def test_people_are_asked_about_every_score(board: Leaderboard) -> None:
    total, detail = board.agreement
    assert (total.column, detail.column) == ("r.total", "r.detail")
    assert total.kendall > 0.3
    assert total.accuracy.accuracy > detail.accuracy.accuracy
    assert total.pairs_left_out == 0  # the picture without a score has seed 1


def test_neighbours_say_how_many_prompts_they_need(table: ScoreTable, board: Leaderboard) -> None:
    cells = gather(table.arrays(["model", "prompt", "r.total"]), "r.total", "model", "prompt")
    assert board.needed == neighbours_needed(board.rankings["r.total"], cells, 0.9)
    assert board.needed[0].first == "c"


def test_a_missing_score_is_counted_and_not_made_up(board: Leaderboard) -> None:
    missing = {s.name: s.missing for s in board.rankings["r.total"].standings}
    assert missing == {"a": 0, "b": 1, "c": 0}
    assert all(s.missing == 0 for s in board.rankings["r.detail"].standings)


def test_everything_is_json_with_its_protocol(board: Leaderboard) -> None:
    said = json.loads(json.dumps(board.as_dict()))
    assert said["dimensions"]["c"]["r.total"] > 1
    assert said["pareto"][0]["name"] == "c"
    assert "Holm" in said["protocol"]["told apart"]
    assert "prompts" in said["protocol"]["redrawn"]
    assert said["agreement"][0]["accuracy"]["pairs"] == 3 * (PROMPTS - 1)


def test_what_cannot_be_shown_is_refused(table: ScoreTable, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a score column"):
        LeaderboardConfig(scores=[])
    with pytest.raises(ConfigError, match="holds the prompts fixed"):
        LeaderboardConfig(scores=["r.total"], resample="seeds", certainty=0.9)
    with pytest.raises(ConfigError, match="two objectives"):
        LeaderboardConfig(scores=["r.total"], pareto=[Objective(name="x", column="r.total")])
    with pytest.raises(ConfigError, match=r"did you mean 'r\.total'"):
        leaderboard(table, LeaderboardConfig(scores=["r.totl"]))
    stranger = Preference(key="x", prompt="?", first="y", second="z", p_first={"overall": 1.0})
    with pytest.raises(DataError, match="none of the 1 judgements"):
        leaderboard(table, LeaderboardConfig(scores=["r.total"], draws=5, judgements=[stranger]))
