from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Array, Features
from beholder.eval.frechet import Frechet, from_features, from_statistics, with_interval
from beholder.eval.statistics import Statistics
from tests.eval.exact_frechet import ORIGIN, exact_distance

RNG = np.random.default_rng(3)


def normal(rows: int, deviations: Array, mean: float = 0.0) -> Array:
    return RNG.normal(size=(rows, len(deviations))) * deviations + mean


def rotated(features: Array) -> Array:
    turn, _ = np.linalg.qr(np.random.default_rng(9).normal(size=(features.shape[1],) * 2))
    return np.asarray(features @ turn)


def test_one_value_by_hand() -> None:
    first, second = [[0.0], [2.0], [4.0]], [[3.0], [5.0]]
    # means 2 and 4, variances 4 and 2: 4 + (2 - √2)²
    found = from_features(first, second)
    assert found == pytest.approx(4 + (2 - np.sqrt(2)) ** 2, abs=1e-14)
    assert found.mean_term == pytest.approx(4)
    assert found.trace_term == pytest.approx((2 - np.sqrt(2)) ** 2)
    # with ddof 0 the variances are 8/3 and 1
    by_hand = 4 + (np.sqrt(8 / 3) - 1) ** 2
    assert from_features(first, second, ddof=0) == pytest.approx(by_hand, abs=1e-14)


@pytest.mark.parametrize(
    ("rows", "others", "branch"),
    [(4, 5, "gram"), (4, 30, "gram"), (30, 4, "gram"), (30, 40, "cholesky")],
)
@pytest.mark.parametrize("ddof", [0, 1])
def test_every_branch_is_exact(rows: int, others: int, branch: str, ddof: int) -> None:
    first, second = normal(rows, np.ones(7)), normal(others, np.full(7, 1.5), 0.3)
    found = from_features(first, second, ddof=ddof)
    assert found.branch == branch
    assert found == pytest.approx(exact_distance(first, second, ddof), abs=1e-12)


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("step", [1, -1])
def test_deviations_down_to_1e_7_lose_no_digits(turn: bool, step: int) -> None:
    deviations = np.logspace(0, -7, 8)[::step]
    first, second = normal(30, deviations), normal(40, deviations, 1e-3)
    if turn:
        first, second = rotated(first), rotated(second)
    found = from_features(first, second)
    assert found.branch == "cholesky"
    assert found == pytest.approx(exact_distance(first, second), abs=1e-13)


def test_one_steep_side_is_enough_to_need_an_order() -> None:
    alike, steep = normal(30, np.ones(8)), normal(40, np.logspace(-7, 0, 8))
    exact = exact_distance(alike, steep)
    assert from_features(alike, steep) == pytest.approx(exact, abs=1e-13)
    assert from_features(steep, alike) == pytest.approx(exact, abs=1e-13)


def test_few_ill_conditioned_pictures_beside_many_lose_no_digits() -> None:
    deviations = np.logspace(0, -7, 8)
    few, many = rotated(normal(5, deviations)), rotated(normal(40, deviations))
    exact = exact_distance(few, many)
    assert from_features(few, many) == pytest.approx(exact, abs=1e-13)
    statistics = Statistics.of(many, ORIGIN)
    found = from_features(few, statistics)
    assert (found.branch, found.rank) == ("gram", 4)
    assert found == pytest.approx(exact, abs=1e-13)
    assert from_features(statistics, few) == pytest.approx(exact, abs=1e-13)


def test_statistics_of_few_pictures_lose_half_the_digits_and_say_so() -> None:
    few, many = normal(5, np.ones(8)), normal(40, np.ones(8))
    found = from_statistics(Statistics.of(few, ORIGIN), Statistics.of(many, ORIGIN))
    assert (found.branch, found.rank) == ("eigh", 4)
    assert found == pytest.approx(exact_distance(few, many), abs=1e-7)


def test_copied_pictures_and_dead_values_lose_no_digits() -> None:
    few = np.repeat(normal(4, np.ones(10)), 2, axis=0)
    many = normal(40, np.ones(10))
    many[:, 3] = 0
    for first, second in ((few, few[::-1] + 1), (few, many), (many, many[:30] * 2)):
        exact = exact_distance(first, second)
        assert from_features(first, second) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("offset", [1e2, 1e4])
@pytest.mark.parametrize("rows", [20, 100])
def test_an_offset_common_to_both_sides_changes_nothing(rows: int, offset: float) -> None:
    first, second = (np.round(normal(rows, np.ones(32)) * 256) / 256 for _ in range(2))
    shifted = ((first + offset).astype(np.float32), (second + offset).astype(np.float32))
    assert from_features(*shifted) == pytest.approx(float(from_features(first, second)), rel=1e-11)


@pytest.mark.parametrize("rows", [50, 400])
def test_identical_sets_lie_at_zero(rows: int) -> None:
    features = np.maximum(normal(rows, np.exp(-np.arange(200) / 30)), 0).astype(np.float32)
    assert abs(from_features(features, features)) < 1e-12
    statistics = Statistics.of(features, ORIGIN)
    assert abs(from_statistics(statistics, statistics)) < 1e-12


def test_features_of_files_of_any_float_and_of_torch_are_taken() -> None:
    first, second = normal(30, np.ones(4)).astype(np.float16), normal(30, np.ones(4), 1.0)
    expected = exact_distance(first, second)
    found = from_features(torch.from_numpy(first).requires_grad_(), Features(second, ORIGIN))
    assert found == pytest.approx(expected, abs=1e-12)
    rounded = torch.from_numpy(second).bfloat16()
    expected = exact_distance(first, rounded.double().numpy())
    assert from_features(first, rounded) == pytest.approx(expected, abs=1e-12)


def test_a_distance_is_a_float_that_survives_pickling() -> None:
    found = from_features(normal(30, np.ones(4)), normal(30, np.ones(4)))
    again = pickle.loads(pickle.dumps(found))
    assert isinstance(again, Frechet)
    assert (again, again.branch, again.rank) == (found, "cholesky", 4)
    assert found + 1 == pytest.approx(found.mean_term + found.trace_term + 1)


def test_sides_that_do_not_fit_are_refused() -> None:
    features = Features(normal(30, np.ones(4)), ORIGIN)
    other = replace(features, origin=replace(ORIGIN, layer="768"))
    with pytest.raises(DataError, match="layer: pool and 768"):
        from_features(features, other)
    with pytest.raises(DataError, match="of 4 and of 3 values"):
        from_features(features, normal(30, np.ones(3)))
    with pytest.raises(DataError, match="at least 2 are needed"):
        from_features(features, normal(1, np.ones(4)))
    with pytest.raises(DataError, match="NaN"):
        from_features(features, np.full((5, 4), np.nan))
    with pytest.raises(ConfigError, match="ddof"):
        from_features(features, features, ddof=2)
    unknown = replace(Statistics.of(features), count=None)
    with pytest.raises(DataError, match="ddof 0"):
        from_statistics(unknown, unknown, ddof=0)


@pytest.mark.parametrize(("rows", "others"), [(9, 10), (9, 60), (50, 60), (22, 60)])
def test_the_jackknife_deletes_the_groups_it_says(rows: int, others: int) -> None:
    """The oracle leaves the groups out of the features and starts anew."""
    from beholder.eval._jackknife import Deleted, groups_of, jackknife

    first, second = normal(rows, np.ones(20)), normal(others, np.full(20, 1.2), 0.1)
    value, found, dealt = with_interval(
        Features(first, ORIGIN), Features(second, ORIGIN), groups=5, seed=1
    )
    assert dealt == (5, 5)
    assert value == pytest.approx(float(from_features(first, second)), rel=1e-12)
    one, two = groups_of(rows, 5, seed=1), groups_of(others, 5, seed=2)
    left = [float(from_features(np.delete(first, g, axis=0), second)) for g in one]
    right = [float(from_features(first, np.delete(second, g, axis=0))) for g in two]
    expected = jackknife(
        value,
        [
            Deleted(np.array(left), np.array([len(g) for g in one])),
            Deleted(np.array(right), np.array([len(g) for g in two])),
        ],
    )
    assert found is not None
    assert found.bias == pytest.approx(expected.bias, rel=1e-9)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-9)


def test_rows_of_one_unit_are_left_out_together() -> None:
    """Four copies of each row: alone they would look twice as sure as they are."""
    rows = normal(40, np.ones(4))
    copied = Features(
        np.repeat(rows, 4, axis=0), ORIGIN, tuple(f"{i // 4}#{i}" for i in range(160))
    )
    other = Statistics.of(normal(500, np.ones(4), 1.0), ORIGIN)
    _, alone, _ = with_interval(other, copied, groups=20)
    _, together, dealt = with_interval(other, copied, groups=20, unit=lambda key: key.split("#")[0])
    _, expected, _ = with_interval(other, Features(rows, ORIGIN), groups=20)
    assert alone is not None
    assert together is not None
    assert expected is not None
    assert dealt == (0, 20)
    assert together.standard_error == pytest.approx(expected.standard_error, rel=0.1)
    assert alone.standard_error < 0.7 * expected.standard_error


def test_only_features_are_redrawn() -> None:
    features = Features(normal(30, np.ones(4)), ORIGIN)
    statistics = Statistics.of(normal(40, np.ones(4)), ORIGIN)
    assert with_interval(features, statistics)[2] == (10, 0)
    assert with_interval(statistics, features)[2] == (0, 10)
    assert with_interval(statistics, statistics)[1:] == (None, (0, 0))
    assert with_interval(features, features, groups=0)[1:] == (None, (0, 0))
    pair = Features(features.values[:2], ORIGIN)
    assert with_interval(pair, features)[2] == (0, 10)  # one picture alone has no covariance
    with pytest.raises(ConfigError, match="groups"):
        with_interval(features, features, groups=1)


def test_the_jackknife_covers_the_true_distance_of_normal_features() -> None:
    """Of N(0, I) and N(m, 4 I) in 4 dimensions: |m|² + 4."""
    generator, truth, inside, corrected = np.random.default_rng(5), 4 * 0.25 + 4, 0, []
    for _ in range(80):
        first = Features(generator.normal(size=(200, 4)), ORIGIN)
        second = Features(2 * generator.normal(size=(200, 4)) + 0.5, ORIGIN)
        value, found, _ = with_interval(first, second)
        assert found is not None
        inside += found.low <= truth <= found.high
        corrected.append((value - truth, value - found.bias - truth))
    bias, rest = np.abs(np.mean(corrected, axis=0))
    assert 0.91 < inside / 80 < 0.99
    assert rest < 0.5 * bias + 0.02


def test_torch_fidelity_agrees() -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_fid", reason="torch-fidelity is a peer")
    first, second = (
        np.maximum(normal(900, np.exp(-np.arange(256) / 60), 0.1 * k), 0).astype(np.float32)
        for k in range(2)
    )
    sides = [fidelity.fid_features_to_statistics(torch.from_numpy(x)) for x in (first, second)]
    theirs = fidelity.fid_statistics_to_metric(*sides, verbose=False)
    expected = theirs["frechet_inception_distance"]
    assert from_features(first, second) == pytest.approx(expected, rel=1e-6)


def test_the_square_root_of_pytorch_fid_agrees() -> None:
    linalg = pytest.importorskip("scipy.linalg", reason="scipy has the square root")
    first, second = normal(300, np.exp(-np.arange(64) / 20)), normal(300, np.ones(64), 0.2)
    one, two = (np.cov(x, rowvar=False) for x in (first, second))
    root = np.trace(linalg.sqrtm(one @ two)).real
    apart = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
    expected = apart + np.trace(one) + np.trace(two) - 2 * root
    assert from_features(first, second) == pytest.approx(expected, rel=1e-9)
