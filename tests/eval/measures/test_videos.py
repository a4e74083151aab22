import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval import extractors
from beholder.eval._features import Features
from beholder.eval.measures._base import Need, Sampling, Side
from beholder.eval.measures._videos import averaged, check_frames, is_nameless, keyed, logits_of
from tests.eval.measures.clips import origin, side

NEED = Need(extractor="i3d", layer="pooled", sampling=Sampling())


@pytest.mark.parametrize("network", ["i3d", "resnet-50", "resnext-101", "videomae"])
def test_every_classifier_is_an_extractor_of_ours(network: str) -> None:
    need = logits_of(network, Sampling(frames=12))  # type: ignore[arg-type]
    assert need.extractor in extractors.names()
    assert need.layer == "logits"
    assert need.sampling == Sampling(frames=12)


def test_a_clip_too_short_for_i3d_is_refused() -> None:
    check_frames("i3d", 10)
    check_frames("resnet-50", 1)
    with pytest.raises(ConfigError, match=r"^frames must be 10 or more for i3d, got 9$"):
        check_frames("i3d", 9)
    with pytest.raises(ConfigError, match="frames must be 1 or more for videomae, got 0"):
        check_frames("videomae", 0)


def test_an_averaged_side_has_a_row_a_video() -> None:
    given = side({NEED: np.array([[0.0, 2], [4, 4], [5, 5]])}, ["a#0", "a#1", "b.mp4#2#0"])
    found = averaged(given, NEED, "fid_vid").features[NEED]
    assert found.values.tolist() == [[2, 3], [5, 5]]
    assert found.keys == ("a#0", "b.mp4#2#0")
    assert found.origin == origin(NEED)


def test_features_without_keys_cannot_be_taken_together() -> None:
    nameless = Features(np.zeros((3, 2)), origin(NEED))
    with pytest.raises(DataError, match="the features of here have no keys"):
        keyed(nameless, "fid_vid", "here")
    assert is_nameless(Side(name="here", features={NEED: nameless}), NEED)
    assert not is_nameless(side({NEED: np.zeros((3, 2))}), NEED)
    assert not is_nameless(Side(name="sums"), NEED)
