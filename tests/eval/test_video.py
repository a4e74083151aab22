from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError, VideoError
from beholder.eval.measures._base import Sampling
from beholder.eval.video import (
    class_numbers,
    clip_indices,
    clips_of,
    per_video,
    share_interval,
    top_k_hits,
    video_of,
)
from tests.moving_pictures import frames, write_mp4

Clips = Literal["first", "centre", "segments", "spread"]


@pytest.mark.parametrize(
    ("count", "length", "stride", "clips", "expected"),
    [
        (9, 3, 1, "first", [[0, 1, 2]]),
        (9, 3, 2, "first", [[0, 2, 4]]),
        (9, 3, 1, "centre", [[3, 4, 5]]),
        (10, 3, 1, "centre", [[3, 4, 5]]),
        (10, 3, 2, "centre", [[2, 4, 6]]),
        (10, 3, 1, "segments", [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        (11, 3, 2, "segments", [[0, 2, 4], [6, 8, 10]]),
        (10, 3, 2, "segments", [[0, 2, 4]]),
        (9, 3, 1, "spread", [[0, 4, 8]]),
        (10, 4, 1, "spread", [[0, 3, 6, 9]]),
        (5, 4, 1, "spread", [[0, 1, 3, 4]]),
        (7, 1, 1, "spread", [[3]]),
        (3, 3, 1, "segments", [[0, 1, 2]]),
    ],
)
def test_frames_of_clips(
    count: int, length: int, stride: int, clips: Clips, expected: list[list[int]]
) -> None:
    assert clip_indices(count, Sampling(frames=length, stride=stride, clips=clips)) == expected


def test_a_padded_last_clip_repeats_the_last_frame() -> None:
    padded = Sampling(frames=3, clips="segments", pad=True)
    assert clip_indices(7, padded) == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]
    assert clip_indices(6, padded) == [[0, 1, 2], [3, 4, 5]]
    assert clip_indices(2, padded) == [[0, 1, 1]]
    assert clip_indices(9, Sampling(frames=3, stride=2, clips="segments", pad=True)) == [
        [0, 2, 4],
        [6, 8, 8],
    ]


@pytest.mark.parametrize("clips", ["first", "centre", "segments", "spread"])
def test_every_clip_has_its_frames_in_order_inside_the_video(clips: Clips) -> None:
    for count in range(16, 70):
        for clip in clip_indices(count, Sampling(frames=16, clips=clips)):
            assert len(set(clip)) == 16
            assert clip == sorted(clip)
            assert clip[0] >= 0
            assert clip[-1] < count


def test_too_short_a_video_says_how_short() -> None:
    with pytest.raises(VideoError, match=r"30 frames, but a clip .* needs 31") as caught:
        clip_indices(30, Sampling(frames=16, stride=2))
    assert caught.value.code == "too-short"
    assert clip_indices(31, Sampling(frames=16, stride=2))


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(frames=0),
        Sampling(stride=0),
        Sampling(clips="spread", stride=2),
        Sampling(clips="first", pad=True),
    ],
)
def test_samplings_that_mean_nothing_are_refused(sampling: Sampling) -> None:
    with pytest.raises(ConfigError):
        clip_indices(100, sampling)


def test_several_samplings_share_one_reading_and_fail_alone() -> None:
    samplings = [
        Sampling(frames=4),
        Sampling(frames=20),
        Sampling(frames=5, clips="segments"),
    ]
    short, long = (
        clips_of(frames(count), samplings, lambda at, clip: (at, len(clip))) for count in (12, 20)
    )
    assert short[0] == [(0, 4)]
    assert isinstance(short[1], VideoError)
    assert short[1].code == "too-short"
    assert short[2] == [(2, 5), (2, 5)]
    assert long == [[(0, 4)], [(1, 20)], [(2, 5)] * 4]


def test_a_video_that_cannot_be_read_is_the_answer_to_every_sampling(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("not a video")
    found = clips_of(tmp_path / "a.mp4", [Sampling(), Sampling(frames=2)], lambda _, clip: clip)
    assert [each.code for each in found if isinstance(each, VideoError)] == ["format"] * 2


def test_a_file_with_fewer_frames_than_packets_is_cut_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames(10))
    monkeypatch.setattr("beholder._videos.video_containers._packets", lambda *_: 12)
    samplings = [Sampling(frames=3, clips="spread"), Sampling(frames=11)]
    spread, short = clips_of(path, samplings, lambda _, clip: clip[:, 0].float().mean((1, 2)))
    assert isinstance(spread, list)
    assert torch.allclose(spread[0], torch.tensor([0.0, 20.0, 36.0]), atol=2)
    assert isinstance(short, VideoError)


def test_a_clip_knows_its_video() -> None:
    assert video_of("a/b.mp4#0") == "a/b.mp4"
    assert video_of("a#2.mp4#12") == "a#2.mp4"
    assert video_of("a#b.mp4") == "a#b.mp4"
    assert video_of("a.mp4") == "a.mp4"


def test_features_of_a_video_are_the_mean_of_its_clips() -> None:
    values = np.array([[1.0, 2.0], [10.0, 0.0], [3.0, 4.0]], dtype=np.float32)
    means, videos = per_video(values, ["b#0", "a#0", "b#1"])
    assert videos == ("b", "a")
    assert means.tolist() == [[2, 3], [10, 0]]
    assert means.dtype == np.float64
    with pytest.raises(DataError, match="3 rows of clips but 2 keys"):
        per_video(values, ["a#0", "b#0"])


def test_the_interval_of_a_share_is_wilsons() -> None:
    low, high = share_interval(0.25, 20)  # by hand: z² = 3.8415
    assert low == pytest.approx(0.1119, abs=1e-4)
    assert high == pytest.approx(0.4687, abs=1e-4)


def test_no_hit_at_all_is_not_0_for_sure() -> None:
    none, every = share_interval(0.0, 10), share_interval(1.0, 10)
    assert none == pytest.approx((0, 3.8415 / 13.8415), abs=1e-4)
    assert every == pytest.approx((1 - none[1], 1))
    with pytest.raises(DataError, match="no videos"):
        share_interval(0.0, 0)


def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says() -> None:
    shares = np.random.default_rng(0).binomial(60, 0.3, 4000) / 60
    ends = np.array([share_interval(share, 60) for share in shares])
    held = ((ends[:, 0] <= 0.3) & (ends[:, 1] >= 0.3)).mean()
    assert 0.93 < held < 0.97


def test_labels_match_classes_but_for_case_and_punctuation() -> None:
    classes = ["Playing Golf", "riding a bike", "tai chi"]
    labels = ["playing_golf", "RidingABike", "Tai-Chi", "tai chi"]
    assert class_numbers(labels, classes).tolist() == [0, 1, 2, 2]


def test_an_unknown_label_names_its_neighbours() -> None:
    with pytest.raises(DataError, match="'playing gulf'; close to playing golf"):
        class_numbers(["playing gulf"], ["tai chi", "playing golf"])
    with pytest.raises(DataError, match="none is close"):
        class_numbers(["zzz"], ["tai chi", "playing golf"])
    with pytest.raises(DataError, match="two classes"):
        class_numbers([], ["tai chi", "Tai_Chi"])


def test_a_hit_is_the_class_among_the_best() -> None:
    logits = np.array([[3.0, 2.0, 1.0, 0.0], [0.0, 3.0, 1.0, 2.0], [1.0, 1.0, 0.0, 5.0]])
    targets = np.array([1, 3, 2])
    assert top_k_hits(logits, targets, 1).tolist() == [False, False, False]
    assert top_k_hits(logits, targets, 2).tolist() == [True, True, False]
    assert top_k_hits(logits, targets, 4).tolist() == [True, True, True]


def test_only_the_classes_given_count_as_answers() -> None:
    logits = np.array([[9.0, 2.0, 1.0], [9.0, 1.0, 2.0]])
    among = np.array([2, 1])
    assert top_k_hits(logits, np.array([1, 1]), 1, among).tolist() == [True, False]
    with pytest.raises(DataError, match="not among the classes"):
        top_k_hits(logits, np.array([0, 1]), 1, among)


def test_of_equal_scores_the_first_class_is_best() -> None:
    scores = np.zeros((3, 3))
    assert top_k_hits(scores, np.array([0, 1, 2])).tolist() == [True, False, False]


def test_answers_must_be_possible() -> None:
    scores = np.zeros((2, 3))
    with pytest.raises(DataError, match="2 rows of scores but 1 classes"):
        top_k_hits(scores, np.array([0]))
    for k in (0, 4):
        with pytest.raises(ConfigError, match="k must be from 1 to the 3 classes"):
            top_k_hits(scores, np.array([0, 1]), k)
