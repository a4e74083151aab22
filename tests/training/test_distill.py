import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import beholder
from beholder.annotation.records.dataset import read_preferences
from beholder.calibration import Curve
from beholder.errors import ConfigError, DataError
from beholder.eval.table_scores import TableScores
from beholder.images import read_image
from beholder.tables import ScoreTable
from beholder.training.distill import Labelling, distill, fidelity, write_distilled
from beholder.training.fit.learner import FitConfig
from beholder.training.reward import RewardTraining, train_reward
from beholder.types import Preference, Scores
from tests.training.brightness import FIT, MPS_OPTIONS, pictures, preferences
from tests.training.score_tables import make_table

HOW = Labelling(judges=("vlm",), temperature=1.0, held_out_share=0.0)


def fox(folder: Path, **scores: Sequence[float | None]) -> ScoreTable:
    """Pictures of one prompt, or of several if a number stands at their key."""
    count = len(next(iter(scores.values())))
    rows = [{"key": f"k{j}", "image": f"{j}.png", "prompt": "a fox"} for j in range(count)]
    return make_table(folder, rows, {name: {"total": values} for name, values in scores.items()})


def by_pictures(pairs: Sequence[Preference]) -> dict[tuple[str, str], float]:
    """Probability that the picture of the smaller number is better."""
    found = {}
    for pair in pairs:
        p = pair.p_first["overall"]
        ends = (pair.first, pair.second)
        found[min(ends), max(ends)] = p if ends[0] < ends[1] else 1 - p
    return found


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_margins_over_the_temperature_become_probabilities(tmp_path: Path) -> None:
    made = distill(fox(tmp_path, vlm=[0.0, 1.0, 4.0]), replace(HOW, temperature=2.0))
    found = by_pictures(made.training)
    assert found == pytest.approx(
        {
            ("0.png", "1.png"): sigmoid(-0.5),
            ("0.png", "2.png"): sigmoid(-2),
            ("1.png", "2.png"): sigmoid(-1.5),
        }
    )
    assert {pair.prompt for pair in made.training} == {"a fox"}
    assert all(pair.votes == {"overall": 1} for pair in made.training)


def test_without_a_temperature_the_spread_of_the_margins_is_one(tmp_path: Path) -> None:
    """Margins 1, 3 and 4: the root of their mean square is sqrt(26 / 3)."""
    made = distill(fox(tmp_path, vlm=[0.0, 1.0, 4.0]), replace(HOW, temperature=0.0))
    assert made.about["curves"]["vlm.total"]["temperature"] == pytest.approx(math.sqrt(26 / 3))


def test_a_calibration_takes_the_place_of_the_temperature(tmp_path: Path) -> None:
    curve = Curve(knots=(0.0, 1.0, 4.0), levels=(0.5, 0.6, 0.9))
    made = distill(fox(tmp_path, vlm=[0.0, 1.0, 4.0]), replace(HOW, curves={"vlm.total": curve}))
    found = by_pictures(made.training)
    assert found["0.png", "1.png"] == pytest.approx(0.4)
    assert found["0.png", "2.png"] == pytest.approx(0.1)
    assert found["1.png", "2.png"] == pytest.approx(1 - (0.6 + 0.3 * 2 / 3))


def test_near_answers_become_ties_and_unlikely_winners_are_dropped(tmp_path: Path) -> None:
    table = fox(tmp_path, vlm=[0.0, 0.1, 4.0])
    tied = by_pictures(distill(table, replace(HOW, tie_threshold=0.1)).training)
    assert tied["0.png", "1.png"] == 0.5
    assert tied["0.png", "2.png"] == pytest.approx(sigmoid(-4))
    sure = distill(table, replace(HOW, least=0.9))
    assert set(by_pictures(sure.training)) == {("0.png", "2.png"), ("1.png", "2.png")}
    assert sure.about["answers"]["overall: dropped"] == 1


def test_judges_that_point_opposite_ways_make_a_pair_unsure_or_drop_it(tmp_path: Path) -> None:
    table = fox(tmp_path, vlm=[0.0, 1.0, 2.0], mps=[0.0, 3.0, 2.0])
    how = replace(HOW, judges=("vlm", "mps"))
    unsure = by_pictures(distill(table, how).training)
    assert unsure["1.png", "2.png"] == 0.5
    assert unsure["0.png", "1.png"] == pytest.approx((sigmoid(-1) + sigmoid(-3)) / 2)
    dropped = by_pictures(distill(table, replace(how, disagreement="drop")).training)
    assert set(dropped) == {("0.png", "1.png"), ("0.png", "2.png")}


def test_rows_without_scores_are_counted_with_the_reason(tmp_path: Path) -> None:
    made = distill(fox(tmp_path, vlm=[0.0, None, 2.0, None]), HOW)
    assert made.about["rows"] == 4
    assert made.about["skipped_rows"] == {"vlm: truncated": 2}
    assert len(made.training) == 1


def test_a_few_pairs_of_a_prompt_span_its_margins_and_are_always_the_same(
    tmp_path: Path,
) -> None:
    table = fox(tmp_path, vlm=[float(k) for k in range(8)])
    how = replace(HOW, pairs_per_prompt=4, temperature=3.0)
    made = distill(table, how)
    assert made == distill(table, how)
    sure = sorted(abs(2 * p - 1) for p in by_pictures(made.training).values())
    every = [abs(2 * p - 1) for p in by_pictures(distill(table, HOW).training).values()]
    assert len(sure) == 4
    assert made.about["pairs"] == {"training": 4, "held_out": 0, "left_out": 24}
    assert made.about["answers"]["overall: sure"] == 4
    assert len(every) == 28
    assert sure[0] < 0.2
    assert sure[-1] > 0.6


def test_whole_prompts_are_held_out(tmp_path: Path) -> None:
    rows = [
        {"key": f"{p}-{k}", "image": f"{p}-{k}.png", "prompt": f"prompt {p}"}
        for p in range(10)
        for k in range(3)
    ]
    numbers = np.random.default_rng(0).normal(size=30).tolist()
    table = make_table(tmp_path, rows, {"vlm": {"total": numbers}})
    made = distill(table, replace(HOW, held_out_share=0.3))
    sides = [{pair.prompt for pair in side} for side in (made.training, made.held_out)]
    assert [len(side) for side in sides] == [7, 3]
    assert not sides[0] & sides[1]
    assert made.about["pairs"] == {"training": 21, "held_out": 9, "left_out": 0}


def test_the_folder_says_that_a_machine_judged_and_reads_back(tmp_path: Path) -> None:
    made = distill(fox(tmp_path, vlm=[0.0, 1.0, 4.0]), HOW)
    write_distilled(made, tmp_path / "pairs")
    assert read_preferences(tmp_path / "pairs") == list(made.training)
    card = (tmp_path / "pairs" / "preferences" / "README.md").read_text()
    assert "A machine judged these pairs, no person" in card
    assert "`vlm`" in card
    assert "temperature 1" in card
    about = json.loads((tmp_path / "pairs" / "distillation.json").read_text())
    assert about["judges"]["vlm"]["weights"] == "weights of vlm"
    assert not (tmp_path / "pairs" / "held_out").exists()


def test_a_judge_that_tells_nothing_apart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"vlm\.total gives all pictures .* the same score"):
        distill(fox(tmp_path, vlm=[1.0, 1.0, 1.0]), HOW)


def test_when_no_answer_is_left_the_counts_say_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'overall: dropped': 1"):
        distill(fox(tmp_path, vlm=[0.0, 0.1]), replace(HOW, least=0.9))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"temperature": -1.0}, "temperature must be at least 0"),
        ({"least": 0.4}, "least must be at least 0.5"),
        ({"tie_threshold": 1.0}, "tie_threshold must be"),
        ({"disagreement": "vote"}, "it must be unsure or drop"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        replace(HOW, **changes)


class Brightness:
    """A slow judge: the mean of the pixels."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        return Scores(torch.tensor([read_image(path).float().mean().item() for path in images]))


def test_a_judge_of_brightness_is_distilled_into_a_tiny_mps(tmp_path: Path) -> None:
    """The student agrees with its judge on unseen prompts far above chance, and with people."""
    rows = [
        {"key": path, "image": path, "prompt": prompt}
        for prompt, made in pictures(tmp_path, prompts=24, each=4).items()
        for path, _ in made
    ]
    totals = Brightness().score([str(row["image"]) for row in rows], []).total.tolist()
    table = make_table(tmp_path, rows, {"vlm": {"total": totals}})
    made = distill(table, Labelling(judges=("vlm",), held_out_share=0.25))
    write_distilled(made, tmp_path / "pairs")
    config = RewardTraining(
        preferences=str(tmp_path / "pairs"),
        run=str(tmp_path / "run"),
        options=MPS_OPTIONS,
        device="cpu",
        pairs_per_batch=16,
        fit=FitConfig(**{**FIT, "steps": 60}),
    )
    student = beholder.load(str(train_reward(config)))
    people = [
        replace(pair, p_first={"overall": pair.p_first["overall"]})
        for pair in preferences(tmp_path, prompts=8, seed=1)
    ]
    scores = TableScores(table.rows(), "vlm")
    found = fidelity(student, made.held_out, people, {"vlm": scores}, draws=500)
    agreement = found.judge.aspects["overall"]
    assert agreement.prompts == 6
    assert agreement.low > 0.7
    assert found.people is not None
    assert found.people.aspects["overall"].low > 0.7
    assert found.judges_people == {}
    own = fidelity(student, made.held_out, made.held_out, {"vlm": scores}, draws=50)
    assert own.judges_people["vlm"].aspects["overall"].accuracy == 1


def test_without_held_out_pairs_there_is_no_fidelity() -> None:
    with pytest.raises(DataError, match="no pair is held out"):
        fidelity(Brightness(), [])
