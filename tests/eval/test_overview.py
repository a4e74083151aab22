from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from beholder.errors import ConfigError
from beholder.eval.leaderboard import LeaderboardConfig, Objective, leaderboard
from beholder.eval.overview import Overview, explained, not_told_apart, overview, with_feedback
from beholder.eval.ranking import rank
from beholder.eval.report import PictureFeedback
from beholder.images import ImageSource, read_image
from beholder.tables import ScoreTable
from beholder.types import Explanation, Preference, Scores

CONFIG = {"reward": "mps", "weights": "abc", "beholder": "0", "alpha": "white"}
MODELS = {"good": 3.0, "fair": 2.0, "poor": 1.0}


@pytest.fixture
def table(tmp_path: Path) -> ScoreTable:
    rows = []
    for k in range(6):
        for model in MODELS:
            path = tmp_path / f"{model}-{k}.png"
            Image.fromarray(np.full((8, 8, 3), 40 * k, np.uint8)).save(path)
            name = f"{model}-{k}"
            row = {"key": name, "image": str(path), "prompt": f"p{k}", "model": model}
            rows.append({**row, "half": "first" if k < 3 else "second"})
    table = ScoreTable(tmp_path / "scores")
    totals = [MODELS[row["model"]] + 0.1 * k for k, row in enumerate(rows)]
    with table.writing() as writer:
        writer.add_inputs(rows)
        for reward, sign in (("mine", 1), ("clip", -1)):
            writer.claim(reward, CONFIG)
            keys: list[object] = [row["key"] for row in rows]
            numbers: list[object] = [sign * value for value in totals]
            none: list[object] = [None] * len(rows)
            columns = {"key": keys, f"{reward}.total": numbers, f"{reward}.error": none}
            writer.add_scores(reward, columns)
    return table


def judgements(folder: Path) -> list[Preference]:
    return [
        Preference(
            key=str(k),
            prompt=f"p{k}",
            first=str(folder / f"good-{k}.png"),
            second=str(folder / f"poor-{k}.png"),
            p_first={"overall": 1.0 if k else 0.0},
        )
        for k in range(6)
    ]


def test_an_overview_holds_accuracy_of_the_reward_and_of_its_baselines(
    table: ScoreTable, tmp_path: Path
) -> None:
    report = overview(table, "mine", Overview(judgements=judgements(tmp_path), by="model"))
    found = {(row.method, row.baseline): row.accuracy for row in report.accuracy}
    assert found == {("mine", False): 5 / 6, ("clip", True): 1 / 6}
    assert report.protocol["weights"] == "abc"
    assert "imagereward" in report.protocol["accuracy"]
    assert [row.name for row in report.ranking] == ["good", "fair", "poor"]
    assert [d.prompt for d in report.disagreements] == ["p0"]
    assert any(method.startswith("MPS") for method in report.methods)


def test_without_judgements_and_groups_only_pictures_are_shown(table: ScoreTable) -> None:
    report = overview(table, "mine")
    assert (list(report.accuracy), list(report.ranking), list(report.disagreements)) == ([], [], [])
    assert len(report.best) == 6


def test_checkpoints_are_ranked_by_every_reward_in_every_category(table: ScoreTable) -> None:
    report = overview(table, "mine", Overview(by="model", category="half"))
    board = report.leaderboard
    assert board is not None
    assert board.scores == ["mine.total", "clip.total"]
    assert [s.name for s in board.rankings["clip.total"].standings] == ["poor", "fair", "good"]
    assert set(board.categories) == {"first", "second"}
    assert {o.column for o in board.objectives} == {"mine.total", "clip.total"}
    assert [p.name for p in board.pareto if p.on_front] == ["good", "fair", "poor"]
    named = overview(table, "mine", Overview(by="model", scores=["mine.total"])).leaderboard
    assert named is not None
    assert list(named.scores) == ["mine.total"]


def test_the_leaderboard_is_the_one_that_was_asked_for(table: ScoreTable) -> None:
    cost = Objective(name="time", minimise=True, values=dict.fromkeys(MODELS, 1.0))
    objectives = [Objective(name="quality", column="mine.total"), cost]
    parts = Overview(by="model", pareto=objectives, alpha=0.2, draws=50)
    board = overview(table, "mine", parts).leaderboard
    assert board is not None
    config = LeaderboardConfig(
        scores=["mine.total", "clip.total"],
        pareto=objectives,
        certainty=0.8,
        alpha=0.2,
        draws=50,
    )
    assert board == leaderboard(table, config)
    assert [p.name for p in board.pareto if p.on_front] == ["good"]


def test_a_checkpoint_has_one_name_in_every_section(tmp_path: Path) -> None:
    steps = (1000, 2000)
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    rows = [
        {"key": f"{k}-{step}", "image": str(tmp_path / "p.png"), "prompt": f"p{k}", "step": kept}
        for k in range(4)
        for step, kept in zip(steps, (1000.0, 2000.0), strict=True)  # as a sharded run keeps them
    ]
    table = ScoreTable(tmp_path / "scores")
    numbers = {f"mine.{part}": [float(k) for k in range(8)] for part in ("total", "a", "b", "c")}
    with table.writing() as writer:
        writer.add_inputs(rows)
        writer.claim("mine", CONFIG)
        keys: list[object] = [row["key"] for row in rows]
        writer.add_scores("mine", {"key": keys, **numbers, "mine.error": [None] * 8})
    report = overview(table, "mine", Overview(by="step"))
    assert report.leaderboard is not None
    assert report.gallery is not None
    names = {"1000", "2000"}
    assert set(report.leaderboard.names) == set(report.gallery.checkpoints) == names
    assert {picture.group for picture in report.gallery.pictures} == names
    assert {profile.name for profile in report.profiles} == set(report.distributions) == names


def test_the_gallery_holds_what_fits_with_the_pictures_of_other_sections(
    table: ScoreTable, tmp_path: Path
) -> None:
    parts = Overview(judgements=judgements(tmp_path), by="model", pictures=9, count=2)
    report = overview(table, "mine", parts)
    gallery = report.gallery
    assert gallery is not None
    assert (len(gallery.pictures), gallery.of) == (9, 18)
    assert "in turn the highest, the lowest, the nearest to the median" in gallery.how
    shown = {picture.image for picture in gallery.pictures}
    divided = {image for pair in report.disagreements for image in (pair.first, pair.second)}
    assert {picture.image for picture in (*report.best, *report.worst)} | divided <= shown
    assert list(gallery.ranges) == ["total", "clip.total"]
    assert list(gallery.ranges["total"]) == pytest.approx([1.2, 4.5])
    assert list(gallery.checkpoints) == ["good", "fair", "poor"]
    assert [p.others["clip.total"] + p.total for p in gallery.pictures] == [0.0] * 9


def test_a_gallery_with_room_for_all_shows_all_and_none_is_left_out_on_request(
    table: ScoreTable,
) -> None:
    everything = overview(table, "mine").gallery
    assert everything is not None
    assert (len(everything.pictures), everything.how) == (18, "")
    assert overview(table, "mine", Overview(pictures=0)).gallery is None


def test_pictures_that_can_still_be_read_are_explained(table: ScoreTable, tmp_path: Path) -> None:
    def explain(image: object, prompt: str) -> list[Explanation]:
        read_image(str(image))
        return [Explanation("overall", 1.0, (), torch.ones(1, 1))]

    report = overview(table, "mine")
    Path(str(report.best[0].image)).unlink()
    shown = explained(report, explain, fit="squash").explanations
    expected = [report.best[1], *report.worst[:2]]
    assert [picture.image for picture in shown] == [picture.image for picture in expected]
    assert {picture.fit for picture in shown} == {"squash"}


def test_the_best_and_worst_pictures_that_can_be_scored_show_what_is_wrong_where(
    table: ScoreTable,
) -> None:
    report = overview(table, "mine")
    lost = report.worst[0]

    def explain_feedback(image: ImageSource, prompt: str) -> PictureFeedback:
        errors = {0: "truncated: it ends early"} if image == lost.image else {}
        return PictureFeedback.of(image, prompt, Scores(torch.tensor([0.5]), errors=errors))

    shown = with_feedback(report, explain_feedback, count=2).feedback
    expected = [*report.best[:2], report.worst[1]]
    assert [(s.image, s.prompt) for s in shown] == [(p.image, p.prompt) for p in expected]


def test_an_unknown_reward_or_column_is_named(table: ScoreTable) -> None:
    with pytest.raises(ConfigError, match="did you mean 'mine'"):
        overview(table, "mines")
    with pytest.raises(ConfigError, match="did you mean 'model'"):
        overview(table, "mine", Overview(by="modle"))


def test_checkpoints_that_cannot_be_told_apart_are_grouped() -> None:
    generator = np.random.default_rng(0)
    same = generator.normal(size=(2, 40))
    columns = {
        "model": ["a"] * 40 + ["b"] * 40 + ["c"] * 40,
        "prompt": [str(k) for _ in range(3) for k in range(40)],
        "r.total": np.concatenate([same[0], same[1], same[0] - 9]),
    }
    ranking = rank(columns, score="r.total")
    assert [sorted(group) for group in not_told_apart(ranking)] == [["a", "b"]]
