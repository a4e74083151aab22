from pathlib import Path

import numpy as np
import pytest

from beholder.annotation.sources._scenes import cutouts, photographs
from beholder.annotation.sources._scenes.defects import Defect
from beholder.annotation.sources._scenes.facts import Fact, Statement
from beholder.annotation.sources._scenes.nouns import head
from beholder.annotation.sources._scenes.scene import Material, Scene, Truth, make_scene
from beholder.annotation.sources._scenes.splits import SPLITS
from tests.annotation.sources._scenes.material import without_packages, write_photographs


@pytest.fixture
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Material:
    without_packages(monkeypatch, tmp_path)
    return Material.of("train", write_photographs(tmp_path / "own"))


def scenes(material: Material, count: int, seed: int = 0) -> list[Scene]:
    return [make_scene(material, k, size=64, seed=seed) for k in range(count)]


def test_a_scene_is_a_function_of_seed_and_number(material: Material) -> None:
    first, again, other = (scenes(material, 4, seed) for seed in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        assert (a.picture == b.picture).all()
        assert a.truth == b.truth
        assert a.truth.prompt != c.truth.prompt
    assert len({scene.truth.prompt for scene in first}) == 4


def test_splits_share_neither_things_nor_photographs(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    parts = [Material.of(split) for split in SPLITS]
    for k, part in enumerate(parts):
        for other in parts[k + 1 :]:
            assert not {head(t.noun) for t in part.things} & {head(t.noun) for t in other.things}
            assert not {p.name for p in part.photographs} & {p.name for p in other.photographs}
    everything = len(cutouts.cutouts(cutouts.STAMPS)), len(photographs.photographs(None))
    assert (sum(len(p.things) for p in parts), sum(len(p.photographs) for p in parts)) == everything


def test_the_maps_are_empty_just_where_nothing_is_wrong(material: Material) -> None:
    made = scenes(material, 80)
    for scene in made:
        wrong = {k for s in scene.truth.statements if s.fact.is_altered for k in s.fact.about}
        assert scene.implausibility.any() == bool(scene.truth.defects)
        assert scene.misalignment.any() == bool(wrong)
        assert scene.picture.shape == (64, 64, 3)
        assert scene.implausibility.shape == scene.misalignment.shape == (64, 64)
    assert 0.2 < np.mean([not scene.truth.defects for scene in made]) < 0.55


def test_the_misaligned_region_is_the_things_that_are_misread(material: Material) -> None:
    for scene in scenes(material, 60):
        wrong = {k for s in scene.truth.statements if s.fact.is_altered for k in s.fact.about}
        for number, group in enumerate(scene.truth.groups):
            for thing in group.things:
                y, x = (min(63, round(64 * value)) for value in (thing.y, thing.x))
                reach = max(1, round(64 * thing.extent / 5))
                around = scene.misalignment[
                    max(0, y - reach) : y + reach, max(0, x - reach) : x + reach
                ]
                if number in wrong:
                    assert around.max() > 200
                elif not wrong:
                    assert around.max() == 0


def truth(**parts: object) -> Truth:
    noun = Statement(Fact((0,), "noun", "star", "star"), 2, 6)
    colour = Statement(Fact((0,), "colour", "red", "blue"), 0, 0)
    given = {
        "prompt": "a star",
        "photograph": "x.png",
        "groups": [],
        "statements": [noun, colour],
        "defects": [Defect("blur", 0.5, 0.04, 0)],
        "faults": {"dull": 0.5},
    }
    return Truth(**{**given, **parts})  # type: ignore[arg-type]


def test_the_values_follow_from_the_truth_by_hand() -> None:
    # plausibility 1 - 0.5 (0.35 + 0.55 * 0.5); alignment 1 - 1/3; aesthetics 1 - 0.6 * 0.5;
    # overall 0.35 * 0.6875 + 0.35 * 2/3 + 0.3 * 0.7
    assert truth().values == pytest.approx(
        {"plausibility": 0.6875, "alignment": 2 / 3, "aesthetics": 0.7, "overall": 0.683958},
        abs=1e-6,
    )


def test_a_scene_without_fault_is_worth_one_in_everything() -> None:
    perfect = truth(statements=truth().statements[:1], defects=[], faults={})
    assert set(perfect.values.values()) == {1.0}


def test_the_plain_truth_names_files_and_what_is_altered(material: Material) -> None:
    scene = make_scene(material, 0, size=64, seed=0)
    plain = scene.truth.as_json()
    assert [s["altered"] for s in plain["statements"]] == [
        s.fact.is_altered for s in scene.truth.statements
    ]
    assert [g["noun"] for g in plain["groups"]] == [g.what.noun for g in scene.truth.groups]
    assert plain["values"] == scene.truth.values
    assert str(Path.cwd()) not in str(plain)
