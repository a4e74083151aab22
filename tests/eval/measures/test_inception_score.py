"""Inception Score as measurements of the generated side alone."""

import numpy as np
import pytest

from beholder.eval.inception_score import inception_score
from beholder.eval.measures._base import Measurement
from beholder.eval.measures.inception_score import MEASURE, Options, compute, needs
from tests.eval.measures.sides import side_of, spread_of

LOGITS = 2 * np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32)


def measured(options: Options) -> dict[str, Measurement]:
    (need,) = needs(options)
    return {m.metric: m for m in compute(None, side_of("fake", need, LOGITS), options)}


def test_both_published_ways_and_all_pictures_at_once() -> None:
    found = measured(Options())
    assert list(found) == ["inception_score", "inception_score_adm", "inception_score_whole"]
    shuffled = inception_score(LOGITS)
    assert found["inception_score"].value == shuffled.mean
    assert found["inception_score"].details["deviation"] == shuffled.deviation
    assert found["inception_score"].protocol["splits"] == "torch-fidelity"
    assert found["inception_score_adm"].value == pytest.approx(shuffled.whole)
    assert found["inception_score_adm"].low is None  # one part says nothing of how sure it is
    whole = found["inception_score_whole"]
    assert whole.value == pytest.approx(shuffled.whole)
    low, value, high = spread_of(whole)
    assert 1 <= low < value < high


def test_parts_share_no_picture_so_their_spread_is_the_interval() -> None:
    found = measured(Options(splits="improved-gan"))["inception_score"]
    scores = inception_score(LOGITS, splits="improved-gan").scores
    assert found.low == pytest.approx(
        scores.mean() - 2.262 * scores.std(ddof=1) / np.sqrt(10), rel=1e-4
    )
    assert found.interval == "Student's t over 10 parts without common pictures"


def test_no_real_side_is_needed() -> None:
    assert not MEASURE.has_real
    assert measured(Options(groups=0))["inception_score_whole"].interval == ""


def test_too_few_pictures_for_parts_still_have_the_score_of_all() -> None:
    (need,) = needs(Options())
    few = side_of("fake", need, LOGITS[:9])
    parts, adm, whole = compute(None, few, Options())
    assert (parts.value, parts.low, parts.high) == (None, None, None)
    assert parts.why == "9 rows cannot be divided into 10 parts"
    assert (parts.fake, parts.protocol["splits"]) == (9, "torch-fidelity")
    p = np.exp(LOGITS[:9].astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    by_hand = np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean())
    assert adm.value == pytest.approx(by_hand, rel=1e-12)
    assert whole.value == pytest.approx(by_hand, rel=1e-12)
    assert whole.interval == "jackknife over 9 groups of the fake side"
    for splits in ("torch-fidelity", "improved-gan", "torchmetrics", "dgm-eval"):
        parts, whole = compute(None, few, Options(splits=splits))
        assert (parts.metric, parts.value) == ("inception_score", None)
        assert whole.value == pytest.approx(by_hand, rel=1e-12)


def test_ten_pictures_are_ten_parts() -> None:
    (need,) = needs(Options())
    parts, _, _ = compute(None, side_of("fake", need, LOGITS[:10]), Options())
    assert parts.value == pytest.approx(1)  # each part is one picture
    assert parts.details["parts"] == 10
