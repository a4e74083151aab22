from pathlib import Path

import pytest
import torch

from beholder.errors import ConfigError
from beholder.images import read_image
from beholder.training._tuning.pairs_latents import (
    LatentStore,
    fitted,
    sampled_size,
    write_latents,
)
from beholder.training.pipeline import Driver
from tests.training.pictures_on_disk import plain
from tests.training.tiny_pipelines import tiny, tiny_sampling

SAMPLING = tiny_sampling("sd")


def test_of_a_wide_picture_the_centre_stays_and_of_a_high_one_too() -> None:
    wide = torch.arange(6, dtype=torch.uint8).repeat(3, 2, 1) * 51  # columns 0, 0.2, … 1
    assert fitted(wide, (2, 2))[0, 0].tolist() == pytest.approx([0.4, 0.6])
    assert fitted(wide.mT, (2, 2))[0, :, 0].tolist() == pytest.approx([0.4, 0.6])


@pytest.mark.parametrize("sides", [(100, 100), (37, 91), (91, 37), (7, 9), (16, 24)])
def test_a_picture_of_any_size_comes_to_the_size_asked_and_keeps_its_colour(
    sides: tuple[int, int],
) -> None:
    found = fitted(torch.full((3, *sides), 153, dtype=torch.uint8), (16, 24))
    torch.testing.assert_close(found, torch.full((3, 16, 24), 0.6))


def test_shapes_are_not_stretched() -> None:
    picture = torch.zeros(3, 64, 128, dtype=torch.uint8)
    picture[:, 16:48, 48:80] = 255  # a square of half the height
    found = fitted(picture, (32, 32))
    assert found.sum((1, 2)).tolist() == pytest.approx([16 * 16] * 3, rel=0.01)
    assert float(found[:, 8:24, 8:24].min()) > 0.4


def test_the_size_is_the_one_that_the_pipeline_samples() -> None:
    driver = Driver(tiny("sd"))
    assert sampled_size(driver, tiny_sampling("sd", height=24, width=40)) == (24, 40)
    assert sampled_size(driver, tiny_sampling("sd", height=None, width=None)) == (32, 32)


def coloured(folder: Path, count: int) -> list[str]:
    return [plain(folder, (k * 20, 100, 200), (50, 40)) for k in range(count)]


@pytest.mark.parametrize("family", ["sd", "sd3", "flux"])
def test_latents_come_back_as_the_driver_encodes_them(tmp_path: Path, family: str) -> None:
    driver, sampling = Driver(tiny(family)), tiny_sampling(family)
    pictures = coloured(tmp_path, 10)
    rows, faults = write_latents(pictures, driver, sampling, tmp_path / "kept")
    assert (rows, faults) == ({picture: k for k, picture in enumerate(pictures)}, {})
    torch.manual_seed(8)  # the first of the second eight
    expected = driver.encode(
        torch.stack([fitted(read_image(picture), (32, 32)) for picture in pictures[8:]]), sampling
    )
    assert torch.equal(LatentStore(tmp_path / "kept").rows([9, 8]), expected.flip(0))
    sampled = driver.sample([""] * 2, sampling, seeds=[0, 1], decode=False).latents
    assert sampled.shape == expected.shape


def test_a_second_time_gives_the_same_and_leaves_the_random_state_alone(tmp_path: Path) -> None:
    driver, pictures = Driver(tiny("sd")), coloured(tmp_path, 2)
    state = torch.get_rng_state()
    write_latents(pictures, driver, SAMPLING, tmp_path / "one")
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    write_latents(pictures, driver, SAMPLING, tmp_path / "two")
    one, two = ((tmp_path / name / "latents.bin").read_bytes() for name in ("one", "two"))
    assert one == two


def test_latents_of_a_half_precision_pipeline_lose_nothing(tmp_path: Path) -> None:
    pipe = tiny("sd").to(torch.bfloat16)
    driver, pictures = Driver(pipe), coloured(tmp_path, 2)
    write_latents(pictures, driver, SAMPLING, tmp_path / "kept")
    torch.manual_seed(0)
    pixels = torch.stack([fitted(read_image(picture), (32, 32)) for picture in pictures])
    expected = driver.encode(pixels, SAMPLING)
    assert expected.dtype == torch.bfloat16
    assert torch.equal(LatentStore(tmp_path / "kept").rows([0, 1]), expected)
    assert (tmp_path / "kept" / "latents.bin").stat().st_size == 2 * expected.numel()


def test_pictures_that_cannot_be_read_are_told_and_take_no_row(tmp_path: Path) -> None:
    good = coloured(tmp_path, 2)
    (tmp_path / "broken.png").write_bytes(Path(good[0]).read_bytes()[:50])
    pictures = [good[0], str(tmp_path / "broken.png"), "none.png", good[1]]
    rows, faults = write_latents(pictures, Driver(tiny("sd")), SAMPLING, tmp_path / "kept")
    assert rows == {good[0]: 0, good[1]: 1}
    assert {why.partition(":")[0] for why in faults.values()} == {"truncated", "missing"}
    assert list(faults) == pictures[1:3]


def test_a_family_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="image-to-image"):
        write_latents(
            coloured(tmp_path, 1), Driver(tiny("sana")), tiny_sampling("sana"), tmp_path / "kept"
        )
