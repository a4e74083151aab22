import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import beholder
from beholder.errors import ConfigError
from beholder.training import learning_curve as module
from beholder.training.fit.learner import FitConfig
from beholder.training.judged.mixing import Source
from beholder.training.judged.rated import Rated
from beholder.training.learning_curve import learning_curve, part
from beholder.training.objectives import LossConfig
from beholder.training.reward import RewardTraining
from beholder.types import Preference
from tests.training.brightness import FIT, MPS_OPTIONS, pictures, preferences


def config(folder: Path, steps: int = 40, **changes: Any) -> RewardTraining:
    given: dict[str, Any] = {"options": MPS_OPTIONS, "device": "cpu", "pairs_per_batch": 8}
    fit = FitConfig(**{**FIT, "steps": steps})
    return RewardTraining(run=str(folder / "run"), fit=fit, **{**given, **changes})


def prompts_of(pairs: list[Preference]) -> set[str]:
    return {pair.prompt for pair in pairs}


def judged(prompts: int) -> list[Preference]:
    answer = {"overall": 1.0}
    return [
        Preference(key=str(k), prompt=f"prompt {k}", first="a", second=f"b{j}", p_first=answer)
        for k in range(prompts)
        for j in range(3)
    ]


def test_smaller_parts_lie_inside_larger_ones_and_hold_whole_prompts() -> None:
    pairs = judged(50)
    parts = [part(pairs, fraction, seed=3) for fraction in (0.1, 0.3, 1.0)]
    assert [len(prompts_of(one)) for one in parts] == [5, 15, 50]
    assert [len(one) for one in parts] == [15, 45, 150]
    assert prompts_of(parts[0]) < prompts_of(parts[1]) < prompts_of(parts[2])
    assert parts[2] == pairs


def test_a_part_depends_on_the_seed_and_not_on_the_order() -> None:
    pairs = judged(50)
    assert prompts_of(part(pairs[::-1], 0.2, 0)) == prompts_of(part(pairs, 0.2, 0))
    assert prompts_of(part(pairs, 0.2, 1)) != prompts_of(part(pairs, 0.2, 0))


def test_a_tiny_part_has_one_prompt_and_spellings_of_one_stay_together() -> None:
    pairs = judged(20)
    assert len(prompts_of(part(pairs, 0.001, 0))) == 1
    twins = [*pairs, *(replace(pair, prompt=pair.prompt.upper() + " ") for pair in pairs)]
    for one in prompts_of(chosen := part(twins, 0.3, 0)):
        assert one.upper().strip() + " " in prompts_of(chosen) or one.lower().strip() in prompts_of(
            chosen
        )


def test_more_data_is_learned_from_judged_alike_and_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, others = preferences(tmp_path, prompts=8), preferences(tmp_path, prompts=8, seed=1)
    given = config(tmp_path, steps=30, reward="tiny", options={}, train="all")
    found = learning_curve(given, [1, 0.25, 0.5], judgements=pairs, evaluation=others, draws=200)
    assert [p.run for p in found.points] == ["fraction-0.25", "fraction-0.5", "fraction-1"]
    assert [(p.prompts, p.judgements) for p in found.points] == [(2, 6), (4, 12), (8, 24)]
    for point, named in zip(found.points, found.measured, strict=True):
        assert named["overall"].value == pytest.approx(
            point.metrics["eval/accuracy_overall"], abs=1e-9
        )
        assert named["all"].value == pytest.approx(point.metrics["eval/accuracy"], abs=1e-9)
        assert named["all"].low <= named["all"].value <= named["all"].high
        assert named["all"].prompts == 8
    assert found.measured[-1]["all"].value > 0.8
    told = json.loads((tmp_path / "run" / "curve.json").read_text())
    assert told["points"][0]["measured"]["all"]["judged"] == found.measured[0]["all"].judged
    assert told["twice_the_data"]["size"] == 48
    assert beholder.load(str(tmp_path / "run" / "fraction-1")).card.name == "tiny"

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "train_reward", never)
    again = learning_curve(given, [0.25, 0.5, 1], judgements=pairs, evaluation=others, draws=200)
    assert again == found
    with pytest.raises(AssertionError, match="trained again"):
        learning_curve(given, [0.25, 0.75], judgements=pairs, evaluation=others)


def test_all_parts_take_the_steps_of_the_largest_ones_epochs(tmp_path: Path) -> None:
    pairs, others = preferences(tmp_path, prompts=8), preferences(tmp_path, prompts=4, seed=1)
    given = config(tmp_path, FitConfig().steps, reward="tiny", options={}, train="all", epochs=2.0)
    found = learning_curve(given, [0.25, 1], 2, judgements=pairs, evaluation=others, draws=20)
    assert sorted(point.judgements for point in found.points) == [6, 6, 24, 24]
    told = [
        json.loads((tmp_path / "run" / point.run / "summary.json").read_text())["steps"]
        for point in found.points
    ]
    assert told == [6] * 4  # 2 epochs of 24 pairs, 8 at once


def test_repeats_draw_other_prompts_and_share_the_held_out_ones(tmp_path: Path) -> None:
    pairs = preferences(tmp_path, prompts=10)
    found = learning_curve(config(tmp_path, steps=2), [0.5], repeats=2, judgements=pairs, draws=20)
    assert [point.run for point in found.points] == ["fraction-0.5", "fraction-0.5-2"]
    hashes = [
        (tmp_path / "run" / point.run / "inputs.yaml").read_text().splitlines()
        for point in found.points
    ]
    lines = [dict(line.split(": ") for line in one) for one in hashes]
    assert (tmp_path / "run" / "features").is_dir()
    assert not (tmp_path / "run" / "fraction-0.5" / "features").exists()
    assert lines[0]["evaluation"] == lines[1]["evaluation"]
    assert lines[0]["preferences"] != lines[1]["preferences"]


def test_a_folder_of_another_curve_is_refused(tmp_path: Path) -> None:
    pairs = preferences(tmp_path, prompts=6)
    learning_curve(config(tmp_path, steps=2), [1], judgements=pairs, draws=20)
    with pytest.raises(ConfigError, match=r"fit\.steps was 2, now 3"):
        learning_curve(config(tmp_path, steps=3), [1], judgements=pairs, draws=20)


@pytest.mark.parametrize(
    ("fractions", "repeats", "text"),
    [
        ([], 1, "one or more different numbers"),
        ([0.5, 0.5], 1, "one or more different numbers"),
        ([0.0], 1, "above 0 and at most 1, got 0"),
        ([1.5], 1, "above 0 and at most 1, got 1.5"),
        ([1.0], 0, "repeats must be 1 or more"),
    ],
)
def test_what_is_no_fraction_is_refused(
    tmp_path: Path, fractions: list[float], repeats: int, text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        learning_curve(config(tmp_path), fractions, repeats, judgements=judged(3))


def test_without_held_out_prompts_there_is_no_curve(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs held-out prompts"):
        learning_curve(config(tmp_path, held_out_share=0.0), [1], judgements=judged(3))


def test_ratings_have_a_curve_of_correlations(tmp_path: Path) -> None:
    """Held-out Spearman's correlation is that of the run's own evaluation."""
    rated = [
        Rated(key=path, prompt=prompt, image=path, values={"overall": grey / 255})
        for prompt, made in pictures(tmp_path, prompts=10, each=3).items()
        for path, grey in made
    ]
    given = config(
        tmp_path,
        steps=20,
        reward="tiny",
        options={},
        train="all",
        ratings="given",
        loss=LossConfig(name="regression"),
        held_out_share=0.3,
    )
    found = learning_curve(given, [0.5, 1], judgements=rated, draws=50)
    assert (found.unit, found.measure) == ("ratings", "srcc")
    assert [(p.judgements, p.prompts) for p in found.points] == [(12, 4), (21, 7)]
    for point, named in zip(found.points, found.measured, strict=True):
        assert named["all"].value == pytest.approx(point.metrics["eval/srcc"], abs=1e-4)
        assert (named["all"].judged, named["all"].prompts) == (9, 3)
    assert "srcc" in (tmp_path / "run" / "curve.html").read_text()


def test_a_mixture_has_no_curve(tmp_path: Path) -> None:
    mixed = config(tmp_path, mix={"one": Source(preferences="a")})
    with pytest.raises(ConfigError, match="mix names several"):
        learning_curve(mixed, [1])


def test_prompts_that_share_a_picture_are_held_out_together(tmp_path: Path) -> None:
    pairs = preferences(tmp_path, prompts=8)
    first = {p.prompt: p.first for p in reversed(pairs)}
    neighbour = dict(pairwise(first))  # each prompt shows a picture of the one beside it
    cut = list(first)[::2]
    tied = [replace(p, first=first[neighbour[p.prompt]]) if p.prompt in cut else p for p in pairs]
    given = config(tmp_path, 2, reward="tiny", options={}, train="all", held_out_share=0.4)
    found = learning_curve(given, [1], judgements=tied, draws=20)
    assert found.points[0].prompts in {4, 6}
