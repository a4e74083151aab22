from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from beholder.errors import DataError
from beholder.training._tuning.clean import Clean, base_samples, from_pictures
from beholder.training.pipeline import Driver, Lora
from tests.training.tiny_pipelines import tiny, tiny_sampling

SAMPLING = tiny_sampling("sd3")
PROMPTS = ["a fox", "a cat", "an owl"]


def pictures(folder: Path) -> Path:
    """Five of odd sizes: one is cut short and one has no prompt."""
    random = np.random.default_rng(0)
    for k in range(5):
        grey = random.integers(0, 256, (40 + 8 * k, 48, 3)).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{k}.png")
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    rows = [f'{{"image": "{k}.png", "prompt": "number {k}"}}' for k in range(4)]
    (folder / "list.jsonl").write_text("\n".join([*rows, '{"image": "4.png", "prompt": null}']))
    return folder / "list.jsonl"


def test_samples_are_those_of_the_pipeline_before_it_was_tuned() -> None:
    driver = Driver(tiny("sd3"))
    before = base_samples(driver, PROMPTS, SAMPLING, 5, seed=3)
    for weight in driver.add_lora(Lora(rank=2)).parameters():
        torch.nn.init.normal_(weight, std=0.3)
    after = base_samples(driver, PROMPTS, SAMPLING, 5, seed=3)
    assert torch.equal(before.latents, after.latents)
    assert before.prompts == after.prompts


def test_shares_of_samples_are_together_all_of_them() -> None:
    driver = Driver(tiny("sd3"))
    whole = base_samples(driver, PROMPTS, SAMPLING, 4, seed=3)
    assert sorted(whole.prompts[:3]) == sorted(PROMPTS)
    even, odd = (base_samples(driver, PROMPTS, SAMPLING, 4, 3, slice(k, None, 2)) for k in (0, 1))
    torch.testing.assert_close(whole.latents[::2], even.latents)
    torch.testing.assert_close(whole.latents[1::2], odd.latents)
    assert whole.prompts[1::2] == odd.prompts


def test_pictures_are_encoded_at_the_sampled_size_and_others_told(tmp_path: Path) -> None:
    driver = Driver(tiny("sd3"))
    kept = from_pictures(driver, str(pictures(tmp_path)), SAMPLING)
    assert kept.prompts == ["number 0", "number 2", "number 3"]
    assert kept.latents.shape == (3, *driver.encode(torch.zeros(1, 3, 32, 32), SAMPLING).shape[1:])
    assert {key: why.partition(":")[0] for key, why in kept.unread.items()} == {
        "1.png": "truncated",
        "4.png": "prompt",
    }


def test_a_picture_keeps_its_latents_when_others_are_encoded_again(tmp_path: Path) -> None:
    driver, source = Driver(tiny("sd3")), str(pictures(tmp_path))
    one, other = (from_pictures(driver, source, SAMPLING) for _ in range(2))
    assert torch.equal(one.latents, other.latents)


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    clean = Clean(torch.randn(2, 3), ["Füchse", "b"], {"c.png": "truncated: at byte 9"})
    clean.save(tmp_path / "kept" / "x.safetensors")
    found = Clean.load(tmp_path / "kept" / "x.safetensors")
    assert torch.equal(found.latents, clean.latents)
    assert (found.prompts, found.unread) == (clean.prompts, clean.unread)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    Clean(torch.randn(20, 30), ["a"] * 20).save(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="not a whole file of latents"):
        Clean.load(path)


def test_parts_of_which_one_is_empty_are_joined() -> None:
    part = Clean(torch.ones(2, 3), ["a", "b"])
    joined = Clean.join([Clean(torch.empty(0), [], {"c": "truncated"}), part])
    assert torch.equal(joined.latents, part.latents)
    assert (joined.prompts, joined.unread) == (["a", "b"], {"c": "truncated"})
