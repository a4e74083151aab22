"""Inception Scores by hand, and by the parts that each publication takes."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval._blocks import Floats
from beholder.eval._features import Array
from beholder.eval.inception_score import inception_score


def logits_of(rows: int, classes: int = 20, seed: int = 0) -> Array:
    values = 3 * np.random.default_rng(seed).normal(size=(rows, classes))
    return values.astype(np.float32)


def by_definition(logits: Array) -> float:
    wide = logits.astype(np.float64)
    p = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    return float(np.exp((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1).mean()))


def test_a_classifier_that_knows_nothing_scores_one() -> None:
    found = inception_score(np.full((40, 7), 3.5))
    assert found.scores == pytest.approx(np.ones(10), abs=1e-12)
    assert (found.whole, found.deviation) == pytest.approx((1, 0), abs=1e-12)


def test_a_sure_classifier_of_evenly_spread_pictures_scores_the_number_of_classes() -> None:
    sure = np.tile(1000 * np.eye(6), (10, 1))
    found = inception_score(sure, splits="improved-gan")
    assert found.whole == pytest.approx(6, rel=1e-12)
    assert found.scores == pytest.approx(np.full(10, 6), rel=1e-12)
    collapsed = inception_score(sure[:1].repeat(60, axis=0))
    assert collapsed.whole == pytest.approx(1, abs=1e-12)


def test_two_pictures_by_hand() -> None:
    """p is (3/4, 1/4) and (1/4, 3/4), their mean (1/2, 1/2)."""
    logits = np.log([[3.0, 1.0], [1.0, 3.0]])
    divergence = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    found = inception_score(logits, splits="adm", groups=0)
    assert found.whole == pytest.approx(np.exp(divergence), rel=1e-12)
    assert found.mean == found.whole
    assert found.jackknife is None


def test_parts_are_those_of_each_publication() -> None:
    logits = logits_of(57)
    order = np.random.RandomState(2020).permutation(57)
    borders = [i * 57 // 10 for i in range(11)]

    def scores(values: Array, cuts: list[int]) -> Floats:
        return np.array([by_definition(values[a:b]) for a, b in pairwise(cuts)])

    expected = {
        "torch-fidelity": scores(logits[order], borders),
        "improved-gan": scores(logits, borders),
        "torchmetrics": scores(logits, [*range(0, 57, 6), 57]),
        "dgm-eval": scores(logits, [*range(0, 51, 5)]),
        "adm": scores(logits, [0, 57]),
    }
    for splits, parts in expected.items():
        found = inception_score(logits, splits=splits)
        assert found.scores == pytest.approx(parts, rel=1e-10)
        ddof = 1 if splits == "torchmetrics" else 0
        if len(parts) > 1:
            assert found.deviation == pytest.approx(parts.std(ddof=ddof), rel=1e-8)
    assert len({round(float(parts.mean()), 6) for parts in expected.values()}) == 5


def test_parts_rounded_up_may_be_fewer_than_ten() -> None:
    assert len(inception_score(logits_of(42), splits="torchmetrics").scores) == 9


def test_parts_of_adm_are_of_5000_in_order() -> None:
    logits = logits_of(6000, classes=3)
    found = inception_score(logits, splits="adm")
    assert found.scores == pytest.approx(
        [by_definition(logits[:5000]), by_definition(logits[5000:])], rel=1e-10
    )
    assert found.deviation == pytest.approx(found.scores.std())


def test_more_parts_make_a_smaller_score_of_the_same_pictures() -> None:
    found = inception_score(logits_of(400))
    assert found.mean < found.whole


def test_tensors_in_half_precision_are_taken_as_the_numbers_that_they_hold() -> None:
    half = torch.from_numpy(logits_of(60)).half()
    assert inception_score(half).mean == inception_score(half.double().numpy()).mean


def test_the_jackknife_leaves_pictures_out() -> None:
    """With groups of one picture it is the textbook one."""
    logits = logits_of(12)
    left = np.array([by_definition(np.delete(logits, i, axis=0)) for i in range(12)])
    variance = 11 / 12 * np.square(left - left.mean()).sum()
    found = inception_score(logits, groups=50).jackknife
    assert found is not None
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-8)
    assert found.low < by_definition(logits) < found.high


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(DataError, match=r"9 rows cannot be divided into 10 parts"):
        inception_score(logits_of(9))
    with pytest.raises(ConfigError, match=r"unknown splits 'ours'; known are torch-fidelity"):
        inception_score(logits_of(20), splits="ours")
    with pytest.raises(DataError, match=r"logits has NaN"):
        inception_score(np.full((20, 3), np.nan))


def test_torch_fidelity_says_the_same() -> None:
    peer = pytest.importorskip(
        "torch_fidelity.metric_isc", reason="torch-fidelity is not installed"
    )
    logits = logits_of(333, classes=1008)
    for shuffle, splits in ((True, "torch-fidelity"), (False, "improved-gan")):
        theirs = peer.isc_features_to_metric(torch.from_numpy(logits), shuffle=shuffle)
        ours = inception_score(logits, splits=splits)
        assert ours.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-10)
        assert ours.deviation == pytest.approx(theirs["inception_score_std"], rel=1e-8)
