"""Checks of ranges: what is inside passes, what is outside is named with what was expected."""

import math

import pytest

from beholder.errors import ConfigError
from beholder.eval.measures._ranges import at_least, check_clips, check_groups, one_of, positive


def test_the_ends_of_a_range_are_inside() -> None:
    at_least(1, k=1, draws=1000)
    positive(sigma=5e-324, scale=1e300)
    one_of(("tf1", "clean"), resize="clean")
    for groups in (0, 2, 10):
        check_groups(groups)
    check_clips(1, 1, "spread")
    check_clips(16, 4, "first")


def test_the_first_setting_out_of_range_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^draws must be 1 or more, got 0$"):
        at_least(1, k=3, draws=0, seed=-1)
    with pytest.raises(ConfigError, match=r"^resize must be one of tf1, clean; got 'area'$"):
        one_of(("tf1", "clean"), resize="area")


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_widths_and_scales_are_finite_and_above_0(value: float) -> None:
    with pytest.raises(ConfigError, match="sigma must be a finite number above 0, got"):
        positive(scale=1.0, sigma=value)


@pytest.mark.parametrize("groups", [1, -1])
def test_one_group_leaves_nothing_to_compare(groups: int) -> None:
    with pytest.raises(ConfigError, match=f"^groups must be 0 or 2 or more, got {groups}$"):
        check_groups(groups)


@pytest.mark.parametrize(
    ("frames", "stride", "clips", "said"),
    [
        (0, 1, "first", "frames must be 1 or more, got 0"),
        (16, 0, "first", "stride must be 1 or more, got 0"),
        (16, 2, "spread", 'stride must be 1 with clips="spread"'),
    ],
)
def test_clips_that_no_video_has_are_refused(
    frames: int, stride: int, clips: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        check_clips(frames, stride, clips)
