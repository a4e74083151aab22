import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval.frechet import from_features
from beholder.eval.measures._base import Sampling, Side
from beholder.eval.measures._chosen import choose
from beholder.eval.measures.fid_vid import MEASURE, Options, compute, needs
from beholder.eval.statistics import Statistics
from tests.eval.measures.clips import cloud, side


def test_videos_are_cut_into_padded_clips_of_16_frames() -> None:
    (need,) = needs(Options())
    assert (need.extractor, need.layer) == ("resnet3d", "pooled")
    assert dict(need.settings) == {"model": "resnet-50", "protocol": "fid-vid"}
    assert need.sampling == Sampling(frames=16, clips="segments", pad=True)
    (bare,) = needs(choose("fid_vid", {"pad": False}).options)
    assert bare.sampling == Sampling(frames=16, clips="segments")


def test_the_rows_are_means_of_the_clips_of_each_video() -> None:
    (need,) = needs(Options())
    clips = cloud(60, 4, 0)
    keys = [f"{video}.mp4#{clip}" for video in range(20) for clip in range(3)]
    means = clips.reshape(20, 3, 4).mean(axis=1)
    fake = cloud(25, 4, 1, 1.0)
    (found,) = compute(side({need: clips}, keys), side({need: fake}), Options())
    assert found.value == pytest.approx(float(from_features(means, fake)), rel=1e-12)
    assert (found.real, found.fake) == (20, 25)
    assert found.protocol["rows"] == "mean of the clips of a video"
    assert found.low is not None


def test_a_video_counts_once_however_long_it_is() -> None:
    (need,) = needs(Options())
    once = cloud(20, 3, 0)
    often = np.concatenate([once, np.repeat(once[:1], 50, axis=0)])
    keys = [f"{at}.mp4#0" for at in range(20)] + [f"0.mp4#{at}" for at in range(1, 51)]
    fake = side({need: cloud(20, 3, 1)})
    (short,) = compute(side({need: once}), fake, Options())
    (long,) = compute(side({need: often}, keys), fake, Options())
    assert long.value == pytest.approx(short.value, rel=1e-12)


def test_statistics_are_refused_since_they_may_be_of_clips() -> None:
    (need,) = needs(Options())
    fake = side({need: cloud(20, 3, 1)})
    sums = Side(name="sums", statistics={need: Statistics.of(fake.features[need])})
    assert not MEASURE.from_sums
    with pytest.raises(DataError, match="only sums"):
        compute(sums, fake, Options())
