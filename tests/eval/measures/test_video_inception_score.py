import numpy as np
import pytest

from beholder.eval.inception_score import inception_score
from beholder.eval.measures._base import Sampling
from beholder.eval.measures._chosen import choose
from beholder.eval.measures.video_inception_score import MEASURE, Options, compute, needs
from tests.eval.measures.clips import cloud, side


def test_one_clip_a_video_is_classified() -> None:
    (need,) = needs(Options())
    assert (need.extractor, need.layer) == ("i3d", "logits")
    assert need.sampling == Sampling(frames=16)
    (other,) = needs(choose("video_inception_score", {"network": "resnet-50"}).options)
    assert (other.extractor, other.layer) == ("resnet3d", "logits")
    assert not MEASURE.has_real


def test_it_is_the_inception_score_of_these_logits() -> None:
    (need,) = needs(Options())
    logits = cloud(50, 7, 0) * 2
    parts, whole = compute(None, side({need: logits}), Options())
    expected = inception_score(logits, splits="improved-gan")
    assert parts.value == pytest.approx(expected.mean, rel=1e-12)
    assert whole.value == pytest.approx(expected.whole, rel=1e-12)
    assert parts.metric == "video_inception_score"
    assert whole.metric == "video_inception_score_whole"
    assert parts.protocol["clips"] == "first 16 frames, stride 1"
    assert parts.fake == 50


def test_sure_and_even_answers_score_the_number_of_classes() -> None:
    (need,) = needs(Options())
    logits = np.tile(np.eye(5) * 200, (20, 1))
    parts, whole = compute(None, side({need: logits}), Options())
    assert parts.value == pytest.approx(5)
    assert whole.value == pytest.approx(5)


def test_few_videos_have_a_score_of_all_and_none_by_parts() -> None:
    (need,) = needs(Options())
    parts, whole = compute(None, side({need: np.eye(5) * 200}), Options())
    assert parts.value is None
    assert parts.why == "5 rows cannot be divided into 10 parts"
    assert whole.value == pytest.approx(5)
