import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import beholder
from beholder.errors import ConfigError
from beholder.rewards.tiny import Tiny
from beholder.training._tuning.signal import Signal
from beholder.training.generate import MANIFEST, Generation, generate
from beholder.training.pipeline import Driver
from tests.training.tiny_pipelines import tiny, tiny_sampling

PROMPTS = ["a red fox", "a cat", "a dog"]
SAMPLING = tiny_sampling("sd3")


@pytest.fixture(scope="module")
def driver() -> Driver:
    return Driver(tiny("sd3"))


@pytest.fixture(scope="module")
def signal() -> Signal:
    return Signal(beholder.load("tiny"))


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


def test_plain_pictures_are_those_of_the_pipeline(driver: Driver, tmp_path: Path) -> None:
    made = generate(driver, None, PROMPTS, SAMPLING, Generation(seed=5), tmp_path)
    assert (made.pictures, made.done_before, dict(made.errors)) == (3, 0, {})
    assert made.steps_run == 3 * SAMPLING.steps
    told = rows(tmp_path)
    assert [row["prompt"] for row in told] == PROMPTS
    assert [row["seed"] for row in told] == [5, 6, 7]
    assert [row["score"] for row in told] == [None] * 3
    expected = driver.sample(PROMPTS[1:2], SAMPLING, seeds=[6]).pixels[0]
    written = np.asarray(Image.open(tmp_path / "00001.png")).astype(float)
    np.testing.assert_allclose(written, expected.permute(1, 2, 0).numpy() * 255, atol=0.51)


def test_the_manifest_scores_as_its_rows_say(
    driver: Driver, signal: Signal, tmp_path: Path
) -> None:
    generate(driver, signal, PROMPTS, SAMPLING, Generation(best_of=3), tmp_path)
    told = rows(tmp_path)
    pictures = [str(tmp_path / row["image"]) for row in told]
    again = signal.reward.score(pictures, PROMPTS).total.tolist()
    assert again == pytest.approx([row["score"] for row in told], abs=5e-3)  # 8-bit pictures


def test_the_best_of_many_is_no_worse_than_the_first(
    driver: Driver, signal: Signal, tmp_path: Path
) -> None:
    for count in (1, 4):
        config = Generation(best_of=count, batch_size=2)
        generate(driver, signal, PROMPTS, SAMPLING, config, tmp_path / str(count))
    first, best = ([row["score"] for row in rows(tmp_path / name)] for name in ("1", "4"))
    assert all(b >= a for a, b in zip(first, best, strict=True))
    assert best != first


def test_a_run_that_was_stopped_goes_on(driver: Driver, signal: Signal, tmp_path: Path) -> None:
    config = Generation(batch_size=1)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    generate(driver, signal, PROMPTS, SAMPLING, config, whole)
    generate(driver, signal, PROMPTS, SAMPLING, config, stopped)
    manifest = stopped / MANIFEST
    manifest.write_text(manifest.read_text()[:-20])  # cut in the last row
    seen: list[int] = []
    made = generate(driver, signal, PROMPTS, SAMPLING, config, stopped, seen.append)
    assert (made.pictures, made.done_before) == (1, 2)
    assert seen == [2, 1]
    assert rows(stopped) == rows(whole)


def test_a_folder_of_other_pictures_is_refused(driver: Driver, tmp_path: Path) -> None:
    generate(driver, None, PROMPTS[:1], SAMPLING, Generation(), tmp_path)
    with pytest.raises(ConfigError, match="seed was 0, now 1"):
        generate(driver, None, PROMPTS[:1], SAMPLING, Generation(seed=1), tmp_path)
    with pytest.raises(ConfigError, match="reward was None, now 'mps'"):
        generate(
            driver, None, PROMPTS[:1], SAMPLING, Generation(), tmp_path, made_by={"reward": "mps"}
        )
    with pytest.raises(ConfigError, match="other prompts"):
        generate(driver, None, PROMPTS[1:], SAMPLING, Generation(), tmp_path)


def test_early_rejection_and_guidance_run_their_steps(
    driver: Driver, signal: Signal, tmp_path: Path
) -> None:
    early = Generation(best_of=4, preview_step=1, keep=1)
    made = generate(driver, signal, PROMPTS[:1], SAMPLING, early, tmp_path / "early")
    assert made.steps_run < 4 * SAMPLING.steps
    led = generate(driver, signal, PROMPTS[:1], SAMPLING, Generation(guide=0.5), tmp_path / "led")
    plain = generate(driver, signal, PROMPTS[:1], SAMPLING, Generation(), tmp_path / "plain")
    assert led.steps_run >= plain.steps_run
    assert rows(tmp_path / "led")[0]["score"] > rows(tmp_path / "plain")[0]["score"]


def test_ways_that_do_not_go_together_are_named() -> None:
    with pytest.raises(ConfigError, match="best_of and guide do not go together"):
        Generation(best_of=2, guide=1.0)
    with pytest.raises(ConfigError, match="give best_of above 1"):
        Generation(preview_step=2)
    with pytest.raises(ConfigError, match="keep must be above 0"):
        Generation(keep=0)


def test_a_reward_is_asked_for_where_it_decides(driver: Driver, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="need a reward"):
        generate(driver, None, PROMPTS, SAMPLING, Generation(best_of=2), tmp_path)


def test_a_picture_without_a_score_is_told_and_kept(driver: Driver, tmp_path: Path) -> None:
    class Silent(Tiny):  # type: ignore[misc]
        def score_prepared(self, pixel_values: torch.Tensor, prompts: Any) -> Any:
            scores = super().score_prepared(pixel_values, prompts)
            nothing = torch.full_like(scores.total, float("nan"))
            return type(scores)(nothing, dict.fromkeys(scores.aspects, nothing))

    signal = Signal(Silent(0))
    made = generate(driver, signal, PROMPTS[:1], SAMPLING, Generation(best_of=2), tmp_path)
    assert list(made.errors) == ["00000.png"]
    assert rows(tmp_path)[0]["score"] is None
    assert "non-finite" in rows(tmp_path)[0]["error"]
    assert (tmp_path / "00000.png").is_file()
    again = generate(driver, signal, PROMPTS[:1], SAMPLING, Generation(best_of=2), tmp_path)
    assert (again.pictures, list(again.errors)) == (0, ["00000.png"])


def test_a_setting_that_failed_leaves_no_folder_behind(
    driver: Driver, signal: Signal, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    wrong = Generation(best_of=2, preview_step=99)
    with pytest.raises(ConfigError, match="at must be"):
        generate(driver, signal, PROMPTS[:1], SAMPLING, wrong, folder)
    assert not folder.exists()
