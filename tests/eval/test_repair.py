import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval.repair import (
    Acceptance,
    RepairMask,
    dilated,
    feathered,
    inpainting_mask,
    judge_repairs,
    opened,
    repair_mask,
    watched,
)
from beholder.types import Scores

HARD = RepairMask(opening=0.0, dilation=0.0, feather=0.0)
RADII = (0.0, 1.0, 1.5, 2.3, 5.0)


def noise(*shape: int, share: float = 0.6) -> Tensor:
    return torch.rand(shape) < share


def disc_by_hand(mask: Tensor, radius: float) -> Tensor:
    """Dilation from its definition: any marked pixel at most `radius` away."""
    rows, columns = torch.meshgrid(*map(torch.arange, mask.shape), indexing="ij")
    marked = mask.nonzero()
    if not len(marked):
        return torch.zeros_like(mask)
    away = (rows[..., None] - marked[:, 0]).square() + (columns[..., None] - marked[:, 1]).square()
    return away.min(-1).values <= radius**2


def test_a_pixel_grows_to_a_disc() -> None:
    mask = torch.zeros(5, 5, dtype=torch.bool)
    mask[2, 2] = True
    plus = torch.tensor([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=torch.bool)
    assert torch.equal(dilated(mask, 1)[1:4, 1:4], plus)
    assert dilated(mask, 1).sum() == 5
    assert dilated(mask, 1.5)[1:4, 1:4].all()
    assert dilated(mask, 1.5).sum() == 9
    assert dilated(mask, 2).sum() == 13
    assert torch.equal(dilated(mask, 0.9), mask)


@pytest.mark.parametrize("radius", [*RADII, 40.0])
def test_dilation_is_exact_and_extensive(radius: float) -> None:
    mask = noise(13, 21, share=0.03)
    assert torch.equal(dilated(mask, radius), disc_by_hand(mask, radius))
    assert (dilated(mask, radius) >= mask).all()


def test_dilation_is_monotone_in_mask_and_radius() -> None:
    small, more = noise(16, 16, share=0.02), noise(16, 16, share=0.02)
    for low, high in pairwise(RADII):
        assert (dilated(small | more, low) >= dilated(small, low)).all()
        assert (dilated(small, high) >= dilated(small, low)).all()


@pytest.mark.parametrize("radius", RADII)
def test_opening_is_idempotent_anti_extensive_and_monotone(radius: float) -> None:
    mask = noise(24, 30, share=0.9)
    once = opened(mask, radius)
    assert torch.equal(opened(once, radius), once)
    assert (once <= mask).all()
    assert (opened(mask | noise(24, 30, share=0.1), radius) >= once).all()
    assert torch.equal(opened(torch.ones_like(mask), radius), torch.ones_like(mask))


def test_opening_removes_a_speck_and_a_thin_line_and_keeps_a_disc_and_an_edge() -> None:
    disc = torch.zeros(32, 32, dtype=torch.bool)
    disc[10, 10] = True
    disc = dilated(disc, 2)
    disc[28:, :] = True
    cluttered = disc.clone()
    cluttered[2, 20] = True
    cluttered[16:24, 25] = True
    assert torch.equal(opened(cluttered, 2), disc)


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0, 30.0])
def test_a_feather_keeps_the_range_and_what_is_far_from_an_edge(sigma: float) -> None:
    mask = torch.zeros(40, 40)
    mask[10:, :] = 1
    soft = feathered(mask, sigma)
    assert 0 <= soft.min() <= soft.max() <= 1
    reach = int(3 * sigma)
    torch.testing.assert_close(soft[10 + reach :], torch.ones_like(soft[10 + reach :]))
    assert (soft[: max(10 - reach, 0)] == 0).all()
    assert (soft.diff(dim=0) >= -1e-6).all()


def test_a_feathered_straight_edge_is_the_sum_of_gaussian_weights() -> None:
    mask = torch.zeros(20, 20)
    mask[10:] = 1
    weights = torch.exp(-(torch.arange(-3.0, 4.0).square()) / 2)
    expected = (weights[4:].sum() / weights.sum()).item()
    assert feathered(mask, 1.0)[9].tolist() == pytest.approx([expected] * 20)
    assert feathered(mask, 1.0)[10].tolist() == pytest.approx([1 - expected] * 20)


def test_the_threshold_itself_is_not_above_it() -> None:
    marked = torch.tensor([[0.0, 0.5], [0.51, 1.0]])
    assert repair_mask(marked, HARD).tolist() == [[0, 0], [1, 1]]
    assert repair_mask(marked, replace(HARD, threshold=0.0)).tolist() == [[0, 1], [1, 1]]


def test_lengths_are_shares_of_the_shorter_side() -> None:
    marked = torch.zeros(40, 100)
    marked[20, 50] = 1
    grown = repair_mask(marked, replace(HARD, dilation=0.1))
    assert torch.equal(grown.bool(), disc_by_hand(marked.bool(), 4))


def test_by_default_a_fault_is_repainted_wholly_and_a_speck_not_at_all() -> None:
    marked = torch.zeros(200, 300)
    marked[50:80, 100:160] = 0.9
    marked[150, 250] = 1.0
    mask = repair_mask(marked)
    left = opened(marked > 0.5, 2)[50:80, 100:160]
    assert left.sum() > 0.99 * 30 * 60, "only corners are rounded"
    torch.testing.assert_close(mask[50:80, 100:160][left], torch.ones(int(left.sum())))
    assert (mask[130:, :] == 0).all()
    assert 0 < mask[44, 130] < 1, "a soft edge lies outside of the fault"


def test_a_batch_is_as_its_maps_one_by_one() -> None:
    marked = torch.rand(2, 3, 40, 50)
    config = RepairMask(opening=0.02, dilation=0.05, feather=0.03)
    together = repair_mask(marked, config)
    for k in range(2):
        for j in range(3):
            torch.testing.assert_close(together[k, j], repair_mask(marked[k, j], config))


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_map_without_faults_has_no_mask(level: float) -> None:
    marked = torch.full((30, 30), level)
    assert not repair_mask(marked).any()
    assert inpainting_mask(marked, (300, 400)) is None


def spotted() -> Tensor:
    marked = torch.zeros(30, 30)
    marked[10:20, 10:20] = 1
    return marked


def test_the_mask_for_a_pipeline_is_a_grey_picture_of_the_pictures_size() -> None:
    mask = inpainting_mask(spotted(), (300, 451))
    assert mask is not None
    assert (mask.mode, mask.size) == ("L", (451, 300))
    assert mask.getpixel((225, 150)) == 255
    assert mask.getpixel((5, 5)) == 0
    assert len(set(mask.get_flattened_data())) > 5, "the edge is soft"


def test_outside_of_the_mask_the_picture_stays_exactly() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 451, 3), np.uint8))
    mask = inpainting_mask(spotted(), (300, 451))
    assert mask is not None
    blended = np.asarray(Image.composite(Image.new("RGB", picture.size), picture, mask))
    outside = np.asarray(mask) == 0
    assert np.array_equal(blended[outside], np.asarray(picture)[outside])
    assert (blended[np.asarray(mask) == 255] == 0).all()


def test_diffusers_reads_white_as_what_is_repainted() -> None:
    processing = pytest.importorskip("diffusers.image_processor")
    processor = processing.VaeImageProcessor(
        vae_scale_factor=8, do_normalize=False, do_binarize=True, do_convert_grayscale=True
    )
    mask = inpainting_mask(spotted(), (300, 451))
    read = processor.preprocess(mask, height=296, width=448)
    assert read.shape == (1, 1, 296, 448)
    assert set(read.unique().tolist()) == {0.0, 1.0}
    assert read[0, 0, 148, 224] == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"threshold": 1.0}, r"threshold is 1.0, expected a number in \[0, 1\)"),
        ({"threshold": math.nan}, "threshold is nan"),
        ({"opening": -0.1}, "opening is -0.1, expected a share"),
        ({"dilation": 5.0}, "dilation is 5.0"),
        ({"feather": math.inf}, "feather is inf"),
    ],
)
def test_an_impossible_configuration_is_refused(options: dict[str, float], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        RepairMask(**options)


@pytest.mark.parametrize(
    "marked",
    [torch.zeros(4), torch.zeros(0, 4), torch.full((4, 4), math.nan), torch.ones(4, 4) * 2],
)
def test_what_is_no_map_is_refused(marked: Tensor) -> None:
    with pytest.raises(DataError, match="the fault map"):
        repair_mask(marked)


def test_several_maps_are_no_single_mask() -> None:
    with pytest.raises(DataError, match=r"\(2, 4, 4\), expected one map"):
        inpainting_mask(torch.zeros(2, 4, 4), (8, 8))


def scored(
    plausibility: list[float], masses: list[float], errors: dict[int, str] | None = None
) -> Scores:
    """Scores whose maps are even, so that a map's mass is its level."""
    return Scores(
        total=torch.tensor(plausibility) / 2,
        aspects={"plausibility": torch.tensor(plausibility)},
        maps={"implausibility": torch.tensor(masses)[:, None, None].expand(-1, 4, 4)},
        errors=errors or {},
    )


BEFORE = scored([0.5], [0.25])


def test_a_repair_is_accepted_only_if_the_score_rises_and_the_mass_falls() -> None:
    after = scored([0.75, 0.75, 0.5, 0.25, 0.5], [0.125, 0.25, 0.125, 0.125, 0.25])
    verdicts = judge_repairs(BEFORE, after)
    assert [v.accepted for v in verdicts] == [True, False, False, False, False]
    assert [v.gain for v in verdicts] == [0.25, 0.25, 0.0, -0.25, 0.0]
    assert {v.mass_before for v in verdicts} == {0.25}
    assert [v.mass_after for v in verdicts] == [0.125, 0.25, 0.125, 0.125, 0.25]
    assert verdicts[0].reason == "plausibility 0.5 to 0.75, implausibility mass 0.25 to 0.125"
    assert verdicts[1].reason == "implausibility mass 0.25 to 0.25 is no drop above 0"
    assert verdicts[3].reason == "plausibility 0.5 to 0.25 is no gain above 0"


def test_gain_and_drop_must_be_above_the_least() -> None:
    after = scored([0.75], [0.125])
    assert judge_repairs(BEFORE, after, Acceptance(min_gain=0.2, min_mass_drop=0.1))[0].accepted
    assert not judge_repairs(BEFORE, after, Acceptance(min_gain=0.25))[0].accepted
    assert not judge_repairs(BEFORE, after, Acceptance(min_mass_drop=0.125))[0].accepted
    assert judge_repairs(BEFORE, after, Acceptance(aspect="total"))[0].gain == 0.125


def test_each_picture_is_compared_with_its_own() -> None:
    before, after = scored([0.5, 0.9], [0.5, 0.5]), scored([0.6, 0.6], [0.25, 0.25])
    assert [v.accepted for v in judge_repairs(before, after)] == [True, False]


def test_within_a_mask_only_its_mass_counts() -> None:
    marked = torch.zeros(1, 4, 4)
    marked[0, 0, 0], marked[0, 3, 3] = 0.5, 1.0
    within = torch.zeros(4, 4)
    within[0, 0], within[0, 1] = 1.0, 1.0
    before = replace(BEFORE, maps={"implausibility": marked})
    (verdict,) = judge_repairs(before, scored([0.6], [0.125]), within=within)
    assert (verdict.mass_before, verdict.mass_after) == (0.25, 0.125)
    assert verdict.accepted


def test_a_mask_of_another_size_is_scaled_to_the_map() -> None:
    halves = torch.zeros(1, 4, 4)
    halves[:, :, :2] = 0.5
    before = replace(BEFORE, maps={"implausibility": halves})
    within = torch.zeros(64, 32)
    within[:, :16] = 1
    (verdict,) = judge_repairs(before, scored([0.6], [0.0]), within=within)
    assert 0.45 < verdict.mass_before < 0.5


def test_a_picture_that_could_not_be_scored_is_refused_with_its_reason() -> None:
    lost = scored([math.nan, 0.75], [math.nan, 0.125], errors={0: "truncated: it ends early"})
    verdicts = judge_repairs(BEFORE, lost)
    assert [v.accepted for v in verdicts] == [False, True]
    assert verdicts[0].reason == "not scored after the repair: truncated: it ends early"
    assert math.isnan(verdicts[0].gain)
    nothing = Scores(torch.tensor([math.nan]), errors={0: "missing: no such file"})
    assert judge_repairs(nothing, BEFORE)[0].reason.startswith("not scored before the repair: miss")
    assert not judge_repairs(BEFORE, nothing)[0].accepted
    assert "non-finite" in judge_repairs(BEFORE, scored([math.nan], [0.1]))[0].reason


def test_a_second_reward_refuses_what_it_finds_worse() -> None:
    better = scored([0.75, 0.75, 0.75, 0.25], [0.125] * 4)
    other = scored([0.5, 0.75, math.nan, 1.0], [0.0] * 4, errors={2: "non-finite: nan"})
    verdicts = watched(judge_repairs(BEFORE, better), scored([0.6], [0.0]), other, "second")
    assert [v.accepted for v in verdicts] == [False, True, False, False]
    first = "plausibility 0.5 to 0.75, implausibility mass 0.25 to 0.125"
    assert verdicts[0].reason == f"second, which watches, 0.3 to 0.25 is a fall; {first}"
    assert verdicts[1].reason == f"{first}; second, which watches, 0.3 to 0.375"
    assert verdicts[2].reason == "not scored by second: non-finite: nan"
    assert verdicts[3].reason == "plausibility 0.5 to 0.25 is no gain above 0"
    lost = Scores(torch.tensor([math.nan]), errors={0: "missing: no such file"})
    (verdict, *_) = watched(judge_repairs(BEFORE, better), lost, other, "second")
    assert verdict.reason == "not scored by second: missing: no such file"
    with pytest.raises(DataError, match="1 pictures before and 1 after by second"):
        watched(judge_repairs(BEFORE, better), BEFORE, BEFORE, "second")


def test_rows_names_and_masks_that_do_not_fit_are_refused() -> None:
    after = scored([0.75], [0.125])
    with pytest.raises(DataError, match="2 pictures before but 3 repaired"):
        judge_repairs(scored([0.5] * 2, [0.5] * 2), scored([0.6] * 3, [0.1] * 3))
    with pytest.raises(DataError, match="no score 'beauty'; the reward gives total, plausibility"):
        judge_repairs(BEFORE, after, Acceptance(aspect="beauty"))
    with pytest.raises(DataError, match="no map 'misalignment'; the reward gives implausibility"):
        judge_repairs(BEFORE, after, Acceptance(kind="misalignment"))
    with pytest.raises(DataError, match="mask is empty"):
        judge_repairs(BEFORE, after, within=torch.zeros(4, 4))
