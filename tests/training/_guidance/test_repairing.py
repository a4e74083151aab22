from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError, DataError, ImageError
from beholder.eval.repair import Acceptance, RepairMask
from beholder.rewards import load
from beholder.training._guidance.repairing import RepairConfig, Repaired, repair
from beholder.types import Scores
from tests.training._guidance.blemishes import Blemishes
from tests.training._guidance.drivers import driver, inpainting
from tests.training.tiny_pipelines import tiny_sampling
from tests.training.toy import Redness

Picture = npt.NDArray[np.uint8]


class Blueness(Redness):
    """What redness is not."""

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        return Scores(1 - super().score_prepared(pixel_values, prompts).total)


SPOT = (slice(10, 22), slice(14, 30))
TWO = RepairConfig(attempts=2)


def spotted(grey: int = 128) -> Picture:
    """A grey picture of 51 by 37 pixels with a blue fault."""
    picture = np.full((37, 51, 3), grey, np.uint8)
    picture[SPOT] = (0, 0, 255)
    return picture


def repaired(picture: Any, config: RepairConfig = TWO, name: str = "flux") -> Repaired:
    sampling = tiny_sampling(name)
    return repair(inpainting(name), Blemishes(), picture, "a cat", sampling, config)


def array(pixels: Tensor) -> Picture:
    return pixels.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", ["sd", "sd3", "flux"])
def test_the_fault_is_repainted_and_every_pixel_outside_the_mask_is_what_it_was(name: str) -> None:
    soft_edged = RepairConfig(attempts=2, mask=RepairMask(dilation=0.15, feather=0.03))
    found, picture = repaired(spotted(), soft_edged, name=name), spotted()
    assert found.accepted
    assert found.seed in found.seeds == (0, 1)
    assert found.mask is not None
    kept, soft = (found.mask == 0).numpy(), ((found.mask > 0) & (found.mask < 1)).numpy()
    assert (array(found.pixels)[kept] == picture[kept]).all()
    assert kept.mean() > 0.5
    assert soft.any()
    assert (found.mask[SPOT] == 1).all()
    assert (array(found.pixels)[SPOT] != picture[SPOT]).mean() > 0.9
    assert found.after is not None
    assert found.after.total.max() > found.before.total[0]


def test_of_several_attempts_the_one_that_gains_most_is_kept_and_its_seed_gives_it_again() -> None:
    counted: list[int] = []
    found = repair(
        inpainting("flux"),
        Blemishes(),
        spotted(),
        "a cat",
        tiny_sampling("flux"),
        RepairConfig(attempts=3, seed=5),
        progress=counted.append,
    )
    gains = [verdict.gain for verdict in found.verdicts]
    assert found.seed == 5 + int(np.argmax(gains))
    assert found.reason == found.verdicts[int(np.argmax(gains))].reason
    again = repaired(spotted(), RepairConfig(attempts=1, seed=found.seed))
    assert torch.equal(again.pixels, found.pixels)
    assert found.steps_run == sum(counted) == 3 * again.steps_run


def test_where_no_attempt_is_better_the_picture_stays_with_the_reason() -> None:
    reward = Blemishes(likes_them=True)
    found = repair(driver("flux"), reward, spotted(), "a cat", tiny_sampling("flux"), TWO)
    assert not found.accepted
    assert found.seed is None
    assert "is no gain" in found.reason
    assert (array(found.pixels) == spotted()).all()
    assert found.steps_run > 0
    assert len(found.verdicts) == 2
    hard = RepairConfig(attempts=1, acceptance=Acceptance(min_mass_drop=0.9))
    assert "no drop above 0.9" in repaired(spotted(), hard).reason


def test_a_second_reward_refuses_what_it_finds_worse_and_changes_nothing_else() -> None:
    def watched_by(held_out: Redness) -> Repaired:
        sampling = tiny_sampling("flux")
        return repair(
            inpainting("flux"), Blemishes(), spotted(), "a cat", sampling, TWO, held_out=held_out
        )

    alone, kept = repaired(spotted()), watched_by(Redness())  # blue goes, so red does not fall
    assert torch.equal(kept.pixels, alone.pixels)
    assert kept.reason.startswith(alone.reason)
    assert "which watches, " in kept.reason
    refused = watched_by(Blueness())
    assert not refused.accepted
    assert "is a fall; " in refused.reason
    assert (array(refused.pixels) == spotted()).all()
    assert [verdict.gain for verdict in refused.verdicts] == [one.gain for one in alone.verdicts]


def test_nothing_to_repair_costs_nothing_even_where_nothing_could_be_repaired() -> None:
    clean = np.full((20, 30, 3), 128, np.uint8)
    sampling = tiny_sampling("sana")
    found = repair(driver("sana"), Blemishes(), clean, "a cat", sampling)
    assert not found.accepted
    assert found.reason == "nothing to repair: no implausibility above 0.5"
    assert (found.steps_run, found.mask, found.after, found.verdicts) == (0, None, None, ())
    assert (array(found.pixels) == clean).all()


@pytest.mark.parametrize("size", [(9, 11), (33, 32), (64, 150)])
def test_pictures_of_any_size_keep_it(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 200, np.uint8)
    picture[: size[0] // 2, : size[1] // 2] = (0, 0, 255)
    found = repaired(picture, RepairConfig(attempts=1))
    assert found.pixels.shape == (3, *size)
    assert found.mask is not None
    kept = (found.mask == 0).numpy()
    assert (array(found.pixels)[kept] == picture[kept]).all()


def test_transparent_grey_and_float_pictures_are_repaired_as_they_are_seen() -> None:
    seen = spotted(255)
    alpha = np.full((37, 51, 4), 255, np.uint8)
    alpha[..., :3], alpha[30:, :, 3] = seen, 0
    alpha[30:, :, :3] = 7  # hidden: white is seen
    expected = repaired(seen).pixels
    assert torch.equal(repaired(Image.fromarray(alpha)).pixels, expected)
    floats = torch.from_numpy(seen).permute(2, 0, 1).float() / 255
    assert torch.equal(repaired(floats).pixels, expected)
    grey = Image.fromarray(np.full((20, 30), 99, np.uint8))
    assert repaired(grey).pixels.unique().tolist() == [99]


def test_what_cannot_be_repaired_is_refused_with_the_reason() -> None:
    flux, sampling = driver("flux"), tiny_sampling("flux")
    with pytest.raises(ConfigError, match="SanaPipeline has no inpainting sibling"):
        repair(driver("sana"), Blemishes(), spotted(), "a cat", tiny_sampling("sana"))
    with pytest.raises(ConfigError, match=r"strength 0\.1 of 4 steps leaves none"):
        repaired(spotted(), RepairConfig(strength=0.1))
    with pytest.raises(ConfigError, match="gives no 'plausibility'; it gives total"):
        repair(flux, Redness(), spotted(), "a cat", sampling)
    by_total = RepairConfig(acceptance=Acceptance(aspect="total"))
    with pytest.raises(ConfigError, match="draws no map 'implausibility'; its maps: none"):
        repair(flux, Redness(), spotted(), "a cat", sampling, by_total)
    with pytest.raises(DataError, match="cannot be judged: non-finite"):
        repaired(np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(ImageError, match="nowhere"):
        repaired("nowhere.png")
    for wrong in ({"strength": 0.0}, {"strength": 1.5}, {"attempts": 0}, {"seed": -1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            RepairConfig(**wrong)


def test_a_reward_that_reads_rich_feedback_repairs_what_it_marks() -> None:
    reward = load("richhf", size="tiny").eval()
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    marked = reward.score([picture], ["a red fox"]).picture_maps(0)["implausibility"]
    config = RepairConfig(
        attempts=2, mask=RepairMask(threshold=float(marked.quantile(0.8)), opening=0.0)
    )
    found = repair(driver("flux"), reward, picture, "a red fox", tiny_sampling("flux"), config)
    assert found.mask is not None
    assert (found.mask[marked > config.mask.threshold] == 1).float().mean() > 0.9
    kept = (found.mask == 0).numpy()
    assert (array(found.pixels)[kept] == picture[kept]).all()
    assert found.accepted == any(verdict.accepted for verdict in found.verdicts)
    if not found.accepted:
        assert (array(found.pixels) == picture).all()
