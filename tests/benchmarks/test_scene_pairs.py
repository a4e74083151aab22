"""The pairs of composed scenes: their truth is known, and it is what the annotators were asked."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from beholder.annotation.sources._scenes import cutouts
from beholder.errors import DataError, MissingDependencyError
from beholder.eval.preference import evaluate
from beholder.types import ASPECTS
from benchmarks._recipe_data import PerfectJudge
from benchmarks._scene_pairs import ScenePairs, Sizes, judged, material_of, scene_pairs

SIZES = Sizes(train_prompts=40, test_prompts=60)
PARTS = ASPECTS[:3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not cutouts.STAMPS.is_dir():
        pytest.skip("composed scenes need Debian's tuxpaint-stamps-default")
    pytest.importorskip("skimage.data", reason="scenes stand on the photographs of scikit-image")
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="module")
def made(folder: Path) -> ScenePairs:
    return scene_pairs(folder, SIZES)


def test_each_dimension_is_drawn_apart_from_the_others(made: ScenePairs) -> None:
    own = {
        file: qualities
        for shown in made.qualities.values()
        for file, qualities in list(shown.items())[: SIZES.pictures]
    }
    assert len(own) == 300
    for a, b in combinations(PARTS, 2):
        found = spearmanr([[q[a], q[b]] for q in own.values()]).statistic
        assert abs(found) < 0.2, (a, b)  # 3.4 standard errors of 300 pictures
    for q in own.values():
        mixed = 0.3 * q["aesthetics"] + 0.3 * q["detail"] + 0.4 * q["alignment"]
        assert q["overall"] == pytest.approx(mixed)


def test_a_judge_who_knows_the_truth_loses_nothing_but_the_annotators_noise(
    made: ScenePairs,
) -> None:
    test = made.preferences["test"]
    found = evaluate(PerfectJudge(made.qualities), test, draws=10).aspects
    assert all(one.accuracy > 0.93 for one in found.values())
    assert any(one.accuracy < 1 for one in found.values())


def test_the_truth_of_one_dimension_does_not_tell_the_answers_of_another(
    made: ScenePairs,
) -> None:
    turned = dict(zip(PARTS, (*PARTS[1:], PARTS[0]), strict=True))
    other = {
        prompt: {file: {**q, **{a: q[b] for a, b in turned.items()}} for file, q in shown.items()}
        for prompt, shown in made.qualities.items()
    }
    found = evaluate(PerfectJudge(other), made.preferences["test"], draws=10).aspects
    assert all(0.35 < found[aspect].accuracy < 0.65 for aspect in PARTS)


def test_some_answers_are_ties_in_every_dimension(made: ScenePairs) -> None:
    for said in made.preferences.values():
        ties = {a: float(np.mean([p.p_first[a] == 0.5 for p in said])) for a in ASPECTS}
        assert all(0.05 < share < 0.4 for share in ties.values()), ties


def test_pairs_are_all_pairs_of_a_prompts_own_pictures_and_borrowed_ones(
    made: ScenePairs,
) -> None:
    train, test = made.preferences["train"], made.preferences["test"]
    assert len(train) == 40 * 15  # 3 own and 3 borrowed
    assert len(test) == 60 * 3
    assert len({f for p in train for f in (p.first, p.second)}) == 40 * 3


def test_training_and_test_share_no_prompt_no_picture_and_no_cut_out(made: ScenePairs) -> None:
    train, test = made.preferences["train"], made.preferences["test"]
    assert not {p.prompt for p in train} & {p.prompt for p in test}
    files = [{f for p in said for f in (p.first, p.second)} for said in (train, test)]
    assert not files[0] & files[1]
    things = [{t.file for t in material_of(part).things} for part in ("train", "test")]
    assert all(things)
    assert not things[0] & things[1]


def test_pairs_are_made_once(made: ScenePairs, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert scene_pairs(folder, SIZES) == made
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_a_folder_with_other_pairs_is_refused(made: ScenePairs, folder: Path) -> None:
    with pytest.raises(DataError, match="other settings"):
        scene_pairs(folder, SIZES, seed=1)


def test_without_cut_outs_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutouts, "STAMPS", tmp_path / "nothing")
    with pytest.raises(MissingDependencyError, match="tuxpaint-stamps-default"):
        scene_pairs(tmp_path / "scenes")


def test_a_picture_that_is_better_by_far_is_preferred_and_equal_ones_tie() -> None:
    best, worst = dict.fromkeys(ASPECTS, 1.0), dict.fromkeys(ASPECTS, 0.0)
    rng = np.random.default_rng(0)
    said = [p for k in range(60) for p in judged(f"{k}-", "a", {"x": best, "y": worst}, rng)]
    assert np.mean([p.p_first["detail"] for p in said]) > 0.9
    equal = [p for k in range(60) for p in judged(f"{k}-", "a", {"x": best, "y": best}, rng)]
    assert np.mean([p.p_first["detail"] == 0.5 for p in equal]) > 0.6
