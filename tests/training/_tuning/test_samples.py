import json
from pathlib import Path

import pytest
import torch

from beholder.images import read_image
from beholder.training._tuning.samples import (
    chosen_steps,
    read_sample_prompts,
    read_samples,
    sample_path,
    write_samples,
)

PICTURES = torch.linspace(0, 1, 3).view(3, 1, 1, 1).expand(3, 3, 16, 24)


def levels(path: Path) -> tuple[int, int]:
    pixels = read_image(path)
    return int(pixels.min()), int(pixels.max())


def test_a_picture_comes_back_as_it_was(tmp_path: Path) -> None:
    write_samples(tmp_path, 25, [0, 1, 2], PICTURES)
    paths = read_samples(tmp_path)[25]
    assert paths[1] == tmp_path / "samples" / "step-00000025" / "001.webp"
    assert [levels(path) for path in paths] == [(0, 0), (128, 128), (255, 255)]
    assert read_image(paths[0]).shape == (3, 16, 24)


def test_a_photograph_keeps_what_an_eye_sees(tmp_path: Path) -> None:
    from tests._page.photographs import photograph

    picture = read_image(photograph("chelsea"))
    write_samples(tmp_path, 0, [0], picture[None] / 255)
    kept = read_image(sample_path(tmp_path, 0, 0))
    assert (kept.float() - picture.float()).square().mean().sqrt() < 5, "levels of 255"


def test_processes_that_share_a_step_make_the_same_folder_as_one(tmp_path: Path) -> None:
    write_samples(tmp_path / "one", 5, range(3), PICTURES)
    write_samples(tmp_path / "two", 5, [1], PICTURES[1:2])
    write_samples(tmp_path / "two", 5, [0, 2], PICTURES[0::2])
    one, two = (read_samples(tmp_path / name)[5] for name in ("one", "two"))
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert sorted(p.name for p in two[0].parent.iterdir()) == ["000.webp", "001.webp", "002.webp"]


def test_values_outside_the_range_are_cut_and_those_not_finite_are_black(tmp_path: Path) -> None:
    pixels = torch.tensor([-1.0, 2.0, float("nan")]).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    write_samples(tmp_path, 0, range(3), pixels)
    assert [levels(path)[0] for path in read_samples(tmp_path)[0]] == [0, 255, 0]


def test_every_step_has_a_place_for_every_row(tmp_path: Path) -> None:
    write_samples(tmp_path, 50, [0, 2], PICTURES[:2])
    write_samples(tmp_path, 0, [0], PICTURES[:1])
    (tmp_path / "samples" / "prompts.json").write_text(json.dumps(["a"] * 4))
    found = read_samples(tmp_path)
    assert list(found) == [0, 50], "in the order of steps"
    assert [len(paths) for paths in found.values()] == [4, 4]
    assert [path.is_file() for path in found[50]] == [True, False, True, False]


def test_what_is_no_sample_is_passed_over(tmp_path: Path) -> None:
    write_samples(tmp_path, 5, [0], PICTURES[:1])
    folder = tmp_path / "samples"
    (folder / "step-00000010").mkdir()
    (folder / "step-00000005" / ".000.webp.x.tmp").touch()
    (folder / "notes").mkdir()
    (folder / "step-00000099").touch()
    assert read_samples(tmp_path) == {5: [sample_path(tmp_path, 5, 0)]}


def test_a_run_without_samples_has_none(tmp_path: Path) -> None:
    assert read_samples(tmp_path) == {}
    assert read_sample_prompts(tmp_path) == []


@pytest.mark.parametrize("text", ['["a", "b', '{"a": 1}', "\x00"])
def test_damaged_prompts_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "prompts.json").write_text(text)
    assert read_sample_prompts(tmp_path) == []


def test_the_steps_shown_are_the_ends_the_best_and_some_between() -> None:
    steps = list(range(0, 101, 10))
    assert chosen_steps(steps, None, 6) == [0, 20, 40, 60, 80, 100]
    assert chosen_steps(steps, 70, 6) == [0, 20, 40, 70, 80, 100]
    assert chosen_steps(steps, 90, 6) == [0, 20, 40, 60, 90, 100]
    assert chosen_steps(steps, 100, 6) == [0, 20, 40, 60, 80, 100]
    assert chosen_steps(steps, 55, 6) == [0, 20, 40, 60, 80, 100], "it was never sampled"
    assert chosen_steps([0, 5], 5, 6) == [0, 5]
    assert chosen_steps([], None, 6) == []
