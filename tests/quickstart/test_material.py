import csv
from pathlib import Path

import numpy as np
import pytest

from beholder.quickstart.degrade import CHECKPOINTS, Faults
from beholder.quickstart.material import Drawn, Sizes, questions, write_material
from beholder.quickstart.scenes import PHOTOGRAPHS, Scene, Thing

SMALL = Sizes(train_prompts=13, test_prompts=3, borrowed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("material")


@pytest.fixture(scope="module")
def made(folder: Path) -> dict[str, list[Drawn]]:
    done: list[int] = []
    found = write_material(folder, SMALL, seed=0, progress=done.append)
    assert sum(done) == 3 * (13 + 3)
    return {str(part): drawn for part, drawn in found.items()}


def test_every_prompt_has_a_picture_of_every_checkpoint(
    folder: Path, made: dict[str, list[Drawn]]
) -> None:
    for drawn in made.values():
        by_prompt: dict[str, list[str]] = {}
        for picture in drawn:
            by_prompt.setdefault(picture.scene.prompt, []).append(picture.made_by)
            assert (folder / "pictures" / picture.file).is_file()
        assert all(sorted(names) == sorted(CHECKPOINTS) for names in by_prompt.values())


def test_the_manifest_names_the_test_pictures_alone(
    folder: Path, made: dict[str, list[Drawn]]
) -> None:
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"pictures/{p.file}" for p in made["test"]]
    assert [row["model"] for row in rows] == [p.made_by for p in made["test"]]
    assert len({row["key"] for row in rows}) == len(rows)


def test_the_same_seed_makes_the_same_files_and_another_seed_others(
    folder: Path, made: dict[str, list[Drawn]], tmp_path: Path
) -> None:
    again = write_material(tmp_path / "a", SMALL, seed=0, progress=lambda count: None)
    other = write_material(tmp_path / "b", SMALL, seed=1, progress=lambda count: None)
    assert again == made
    assert {p.file for p in other["test"]}.isdisjoint(p.file for p in made["test"])
    export = Path("annotations/train/export.json")
    assert (tmp_path / "a" / export).read_bytes() == (folder / export).read_bytes()


def test_a_picture_is_judged_by_the_prompt_that_it_is_shown_for() -> None:
    cat = PHOTOGRAPHS[0]
    own = Scene("a", cat, Thing("red", "star", "in the middle"))
    near = Scene("b", cat, Thing("red", "circle", "in the middle"))
    picture = Drawn("x.png", own, own.thing, Faults(blur=1.0), "simulated-late")
    assert picture.qualities(own)["alignment"] == 1
    assert picture.qualities(near)["alignment"] == pytest.approx(2 / 3)
    assert picture.qualities(near)["detail"] == picture.qualities(own)["detail"] == 0.25


def test_borrowed_pictures_show_the_same_photograph_for_another_prompt() -> None:
    things = [Thing("red", "star", "in the middle"), Thing("blue", "star", "in the middle")]
    scenes = [Scene(f"{p.noun}-{k}", p, t) for p in PHOTOGRAPHS[:2] for k, t in enumerate(things)]
    drawn = [
        Drawn(f"{s.key}-{name}.png", s, s.thing, Faults(), name)
        for s in scenes
        for name in CHECKPOINTS
    ]
    asked = questions(drawn, 2, np.random.default_rng(0))
    assert len(asked) == len(scenes) * 10
    assert len({q.key for q in asked}) == len(asked)
    for question in asked:
        noun = question.key.split("-")[0]
        assert question.a.startswith(noun)
        assert question.b.startswith(noun)
        assert noun in question.prompt
    assert len(questions(drawn, 0, np.random.default_rng(0))) == len(scenes) * 3
