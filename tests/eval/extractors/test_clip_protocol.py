import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from beholder.errors import ConfigError, DataError
from beholder.eval.extractors._clip_protocol import ClipProtocol, check_frames, choose

CROP = ClipProtocol(name="crop", size=8, crop=True)
STRETCH = ClipProtocol(name="stretch", size=8)


def frames(height: int, width: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator).to(torch.uint8)


def test_stretched_frames_are_torchs_bilinear_of_the_whole_clip() -> None:
    clip = frames(11, 21)

    expected = functional.interpolate(clip.float(), (8, 8), mode="bilinear", align_corners=False)

    assert torch.equal(STRETCH.prepare(clip), expected)


@pytest.mark.parametrize(("height", "width"), [(16, 40), (40, 16), (9, 10), (5, 6), (6, 5)])
def test_the_short_side_is_resized_and_the_middle_kept(height: int, width: int) -> None:
    clip = frames(height, width)
    scale = 8 / min(height, width)
    tall, wide = (8, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), 8)
    large = functional.interpolate(clip.float(), (tall, wide), mode="bilinear")

    found = CROP.prepare(clip)

    assert found.shape == (2, 3, 8, 8)
    top, left = (tall - 8) // 2, (wide - 8) // 2
    assert torch.equal(found, large[..., top : top + 8, left : left + 8])


def test_a_strip_of_three_squares_keeps_the_middle_one() -> None:
    clip = torch.zeros(1, 3, 16, 48, dtype=torch.uint8)
    clip[..., 16:32] = 200

    found = CROP.prepare(clip)

    # half-pixel bilinear from 16 to 8 averages pixels 2i and 2i + 1, all inside the middle square
    assert torch.equal(found, torch.full((1, 3, 8, 8), 200.0))


def test_squares_whose_scale_rounds_up_are_cropped_as_published() -> None:
    protocol = ClipProtocol(name="stylegan-v", size=224, crop=True)
    clip = frames(100, 100, 1)
    large = functional.interpolate(clip.float(), (225, 224), mode="bilinear")

    assert math.ceil(100 * (224 / 100)) == 225
    assert torch.equal(protocol.prepare(clip), large[:, :, :224])


def test_frames_of_the_right_size_stay_as_they_are() -> None:
    clip = frames(8, 8)

    assert STRETCH.prepare(clip) is clip
    assert CROP.prepare(clip) is clip


def test_channels_keep_their_order_and_get_their_own_shift_and_scale() -> None:
    protocol = ClipProtocol(name="x", size=2, shift=(10, 20, 30), scale=(1, 2, 4))
    clips = torch.tensor([11, 24, 38], dtype=torch.uint8)[:, None, None].expand(1, 5, 3, 2, 2)

    seen = protocol.volumes(clips)

    assert seen.shape == (1, 3, 5, 2, 2)
    assert [seen[0, c].unique().tolist() for c in range(3)] == [[1.0], [2.0], [2.0]]


def test_the_usual_range_is_from_minus_one_to_one_whatever_the_values_are() -> None:
    dark = torch.ones(1, 2, 3, 2, 2, dtype=torch.uint8)
    bright = torch.full((1, 2, 3, 2, 2), 255, dtype=torch.uint8)

    assert STRETCH.volumes(dark).unique().tolist() == pytest.approx([-1 + 2 / 255])
    assert STRETCH.volumes(bright).unique().tolist() == [1.0]


def test_bytes_and_floats_of_the_same_values_are_seen_alike() -> None:
    clips = frames(8, 8)[None]

    assert torch.equal(STRETCH.volumes(clips), STRETCH.volumes(clips.float()))


@pytest.mark.parametrize(
    "clip",
    [
        torch.zeros(3, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 3, 8, 8),
    ],
)
def test_frames_of_another_kind_are_refused(clip: Tensor) -> None:
    with pytest.raises(DataError, match=r"expected the frames of a clip, \(t, 3, h, w\)"):
        STRETCH.prepare(clip)


@pytest.mark.parametrize("shape", [(0, 3, 9, 9), (1, 3, 0, 9)])
def test_clips_without_pixels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="have no pixel to resize"):
        CROP.prepare(torch.zeros(shape, dtype=torch.uint8))


def test_a_stack_with_channels_first_is_refused() -> None:
    with pytest.raises(DataError, match=r"clips \(b, t, 3, s, s\), got shape \(1, 3, 16, 8, 8\)"):
        STRETCH.volumes(torch.zeros(1, 3, 16, 8, 8))


def test_another_size_is_said_in_the_name() -> None:
    known = {"crop": CROP}

    assert choose(known, "crop", None) is CROP
    assert choose(known, "crop", 8) is CROP
    assert choose(known, "crop", 4) == ClipProtocol(name="crop, 4 pixels", size=4, crop=True)


def test_unknown_protocols_and_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be one of crop; got 'no'"):
        choose({"crop": CROP}, "no", None)
    with pytest.raises(ConfigError, match="size must be 1 or more, got 0"):
        choose({"crop": CROP}, "crop", 0)


def test_too_few_frames_are_refused_with_what_to_do() -> None:
    check_frames(9, 9, "i3d")
    with pytest.raises(DataError, match="i3d needs clips of 9 frames or more, got 8"):
        check_frames(8, 9, "i3d")
