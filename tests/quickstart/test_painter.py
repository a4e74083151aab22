import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from beholder.quickstart.painter import SAMPLING, SIDE, Painting, build, train_painter
from beholder.training._pipeline.loading import load_pipeline
from beholder.training.pipeline import Driver

PROMPTS = ("a photo of the sea", "a photo of a field")
FEW = Painting(autoencoder_steps=3, steps=3, batch=4)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "prompt"])
        for k in range(8):
            colour = np.array([(20, 60, 200), (40, 160, 40)][k % 2], np.uint8)
            Image.fromarray(np.broadcast_to(colour, (80, 80, 3)).copy()).save(tmp_path / f"{k}.png")
            writer.writerow([f"{k}.png", PROMPTS[k % 2]])
    return path


def load(folder: Path) -> Driver:
    return load_pipeline(str(folder), {}, torch.device("cpu"), torch.float32)


def test_a_painter_is_loaded_by_diffusers_and_repeats_for_a_seed(
    manifest: Path, tmp_path: Path
) -> None:
    seen: list[int] = []
    one = train_painter(manifest, tmp_path / "one", FEW, seed=3, progress=seen.append)
    two = train_painter(manifest, tmp_path / "two", FEW, seed=3)
    assert len(seen) == 6
    drawn = [load(folder).sample(PROMPTS, SAMPLING, seeds=[1, 2]).pixels for folder in (one, two)]
    assert drawn[0].shape == (2, 3, SIDE, SIDE)
    assert torch.equal(*drawn)


def test_every_word_of_the_prompts_is_known_and_others_are_not(manifest: Path) -> None:
    tokenizer = build(PROMPTS).tokenizer
    for prompt in PROMPTS:
        assert tokenizer.unk_token_id not in tokenizer(prompt).input_ids
    assert tokenizer.unk_token_id in tokenizer("a photo of the moon").input_ids


@pytest.mark.long
def test_a_painter_that_learned_two_colours_draws_the_one_that_is_asked_for(
    manifest: Path, tmp_path: Path
) -> None:
    painting = Painting(autoencoder_steps=80, steps=120, batch=8, average=0.95)
    driver = load(train_painter(manifest, tmp_path / "out", painting, seed=0))
    pixels = driver.sample(PROMPTS * 4, SAMPLING, seeds=range(8)).pixels
    _, green, blue = pixels.mean((2, 3)).unbind(1)
    is_sea = torch.arange(8) % 2 == 0
    assert bool((blue > green)[is_sea].all())
    assert bool((green > blue)[~is_sea].all())
