import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval._features import Features
from beholder.eval.frechet import from_features
from beholder.eval.measures._base import Sampling, Side
from beholder.eval.measures._chosen import choose
from beholder.eval.measures.fid2vid import Options, compute, needs
from tests.eval.measures.clips import cloud, origin, side


def test_both_networks_see_segments_of_10_frames() -> None:
    i3d, resnext = needs(Options())
    assert (i3d.extractor, i3d.layer) == ("i3d", "pooled")
    assert (resnext.extractor, resnext.layer) == ("resnet3d", "pooled")
    assert dict(resnext.settings)["model"] == "resnext-101"
    for need in (i3d, resnext):
        assert dict(need.settings)["protocol"] == "vfid"
        assert need.sampling == Sampling(frames=10, clips="segments")


def test_each_network_has_its_own_number() -> None:
    i3d, resnext = needs(Options())
    real = {i3d: cloud(30, 4, 0), resnext: cloud(30, 6, 1)}
    fake = {i3d: cloud(20, 4, 2, 1.0), resnext: cloud(20, 6, 3, 1.0)}
    first, second = compute(side(real), side(fake), Options())
    assert (first.metric, second.metric) == ("fid2vid_i3d", "fid2vid_resnext")
    for need, found in ((i3d, first), (resnext, second)):
        expected = float(from_features(real[need], fake[need]))
        assert found.value == pytest.approx(expected, rel=1e-12)
        assert found.low is not None
    with pytest.raises(DataError):
        first.minus(second)


@pytest.mark.parametrize("network", ["i3d", "resnext-101"])
def test_one_network_may_be_asked_for(network: str) -> None:
    options = choose("fid2vid", {"networks": network}).options
    (need,) = needs(options)
    rows = {need: cloud(12, 3, 0)}
    (found,) = compute(side(rows), side(rows), options)
    assert found.metric == f"fid2vid_{network.removesuffix('-101')}"
    assert found.value == pytest.approx(0, abs=1e-9)


def test_clips_of_one_video_are_rows_but_no_witnesses_of_their_own() -> None:
    options = Options(networks="i3d")
    (need,) = needs(options)
    keys = [f"{video}.mp4#{clip}" for video in range(60) for clip in range(5)]
    real, fake = cloud(60, 4, 0), cloud(60, 4, 1, 0.5)
    (once,) = compute(side({need: real}), side({need: fake}), options)
    first, second = (side({need: np.repeat(rows, 5, axis=0)}, keys) for rows in (real, fake))
    (often,) = compute(first, second, options)
    assert (once.real, often.real) == (60, 300)
    errors = [float(str(each.details["standard_error"])) for each in (once, often)]
    # were five equal clips five witnesses, the error would be less than half
    assert errors[1] == pytest.approx(errors[0], rel=0.3)


def test_rows_without_keys_have_no_interval() -> None:
    options = Options(networks="i3d")
    (need,) = needs(options)
    nameless = Side(name="here", features={need: Features(cloud(20, 4, 0), origin(need))})
    (found,) = compute(nameless, side({need: cloud(20, 4, 1)}), options)
    assert found.value is not None
    assert found.low is None
    assert "none, since rows without keys" in str(found.details["interval"])
