"""Kernel distances equal their definitions, by hand, in more digits, and as peers compute them."""

from itertools import combinations

import mpmath
import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval._blocks import Floats
from beholder.eval._features import Array
from beholder.eval.kernel import cmmd, kid, kid_subsets


def pool_features(rows: int, seed: int, width: int = 64, spread: float = 1.0) -> Array:
    """Not negative and with a common direction, as those of Inception are."""
    draws = np.random.default_rng(seed)
    plane = 0.15 * np.random.default_rng(99).normal(size=(10, width))
    values = spread * draws.normal(size=(rows, 10)) @ plane + 0.2 * draws.normal(size=(rows, width))
    return np.maximum(values + 0.3, 0).astype(np.float32)


def cubic(x: Array, y: Array) -> Floats:
    kernel: Floats = (x.astype(np.float64) @ y.astype(np.float64).T / x.shape[1] + 1) ** 3
    return kernel


def kid_by_definition(x: Array, y: Array) -> float:
    same = 0.0
    for side in (x, y):
        kernel, n = cubic(side, side), len(side)
        same += (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
    return float(same - 2 * cubic(x, y).mean())


def test_kid_of_three_points_by_hand() -> None:
    """One value a row: kernels are (xy + 1)³. Real 0, 1, 2 and generated 1, 1, 3."""
    real, fake = np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [1.0], [3.0]])
    same_real = (1 + 1 + 27) / 3  # pairs 01, 02, 12
    same_fake = (8 + 64 + 64) / 3
    across = (3 * 1 + (8 + 8 + 64) + (27 + 27 + 343)) / 9
    assert kid(real, fake).value == pytest.approx(same_real + same_fake - 2 * across, rel=1e-12)


@pytest.mark.parametrize("block", [17, 64, 1000])
def test_kid_is_its_definition_whatever_the_block(block: int) -> None:
    real, fake = pool_features(140, 0), pool_features(110, 1, spread=1.1)
    expected = kid_by_definition(real, fake)
    assert kid(real, fake, block=block).value == pytest.approx(expected, rel=1e-11)
    assert kid(torch.from_numpy(real), fake, groups=0).value == pytest.approx(expected, rel=1e-11)


def test_kid_keeps_digits_that_float32_kernels_lose() -> None:
    real, fake = pool_features(400, 0, 512), pool_features(400, 1, 512, spread=1.02)
    expected = kid_by_definition(real, fake)
    n = len(real)
    one = np.float32(1)
    raw = [
        (a @ b.T / np.float32(512) + one) ** 3
        for a, b in ((real, real), (fake, fake), (real, fake))
    ]
    same = sum((k.sum() - np.trace(k)) / np.float32(n * (n - 1)) for k in raw[:2])
    assert abs(float(same - 2 * raw[2].mean()) / expected - 1) > 1e-5
    assert kid(real, fake).value == pytest.approx(expected, rel=1e-11)
    subset = kid_subsets(real, fake, subsets=1, size=n)
    assert subset.mean == pytest.approx(expected, rel=2e-6)


def test_kid_with_an_offset_agrees_with_many_digits() -> None:
    real, fake = pool_features(12, 0, 8) + np.float32(100), pool_features(9, 1, 8) + np.float32(100)
    mpmath.mp.dps = 40

    def mean(x: Array, y: Array, *, own: bool) -> mpmath.mpf:
        values = [
            (
                sum(mpmath.mpf(float(p)) * mpmath.mpf(float(q)) for p, q in zip(a, b, strict=True))
                / 8
                + 1
            )
            ** 3
            for i, a in enumerate(x)
            for j, b in enumerate(y)
            if own or i != j
        ]
        return mpmath.fsum(values) / len(values)

    exact = (
        mean(real, real, own=False) + mean(fake, fake, own=False) - 2 * mean(real, fake, own=True)
    )
    assert kid(real, fake).value == pytest.approx(float(exact), rel=1e-12)
    assert abs(kid_by_definition(real, fake) / float(exact) - 1) > 1e-11  # plain float64 loses them


def test_kid_over_all_pairs_is_the_mean_over_all_subsets() -> None:
    real, fake = pool_features(6, 0, 4), pool_features(5, 1, 4)
    every = [
        kid_by_definition(real[list(a)], fake[list(b)])
        for a in combinations(range(6), 3)
        for b in combinations(range(5), 3)
    ]
    whole = kid(real, fake).value
    assert whole == pytest.approx(float(np.mean(every)), rel=1e-11)
    drawn = kid_subsets(real, fake, subsets=3000, size=3)
    assert drawn.mean == pytest.approx(whole, abs=4 * drawn.deviation / np.sqrt(3000))
    assert drawn.deviation == pytest.approx(np.std(every), rel=0.1)


def test_subsets_are_those_of_their_seed_real_side_first() -> None:
    real, fake = pool_features(50, 0), pool_features(40, 1)
    draws = np.random.RandomState(7)
    expected = [
        kid_by_definition(
            real[draws.choice(50, 20, replace=False)], fake[draws.choice(40, 20, replace=False)]
        )
        for _ in range(4)
    ]
    found = kid_subsets(real, fake, subsets=4, size=20, seed=7)
    assert found.values == pytest.approx(expected, rel=1e-5)
    assert found.deviation == pytest.approx(np.std(expected), rel=1e-6)
    other = kid_subsets(real, fake, subsets=4, size=20, seed=8)
    assert abs(other.values - found.values).min() > 0


def test_subsets_are_not_made_smaller_in_silence() -> None:
    real, fake = pool_features(50, 0), pool_features(30, 1)
    with pytest.raises(DataError, match=r"subsets of 1000 rows cannot be drawn from 30"):
        kid_subsets(real, fake)
    shrunk = kid_subsets(real, fake, shrink=True, subsets=2)
    assert shrunk.size == 30
    with pytest.raises(ConfigError, match=r"a subset must have 2 or more rows, got 1"):
        kid_subsets(real, fake, size=1)
    with pytest.raises(ConfigError, match=r"subsets must be 1 or more, got 0"):
        kid_subsets(real, fake, subsets=0)


def test_torch_fidelity_draws_the_same_subsets_and_says_the_same() -> None:
    peer = pytest.importorskip(
        "torch_fidelity.metric_kid", reason="torch-fidelity is not installed"
    )
    real, fake = pool_features(300, 0), pool_features(260, 1, spread=1.3)
    theirs = peer.kid_features_to_metric(
        torch.from_numpy(real).double(),
        torch.from_numpy(fake).double(),
        kid_subsets=10,
        kid_subset_size=100,
        verbose=False,
    )
    ours = kid_subsets(real, fake, subsets=10, size=100)
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-7)
    assert ours.deviation == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


def gaussian_by_definition(x: Array, y: Array, sigma: float, *, digits: int = 40) -> float:
    mpmath.mp.dps = digits

    def unit(row: Array) -> list[mpmath.mpf]:
        values = [mpmath.mpf(float(v)) for v in row]
        length = mpmath.sqrt(mpmath.fsum(v * v for v in values))
        return [v / length for v in values]

    def mean(one: list[list[mpmath.mpf]], two: list[list[mpmath.mpf]]) -> mpmath.mpf:
        gamma = 1 / (2 * mpmath.mpf(sigma) ** 2)
        kernels = [
            mpmath.exp(-gamma * mpmath.fsum((p - q) ** 2 for p, q in zip(a, b, strict=True)))
            for a in one
            for b in two
        ]
        return mpmath.fsum(kernels) / len(kernels)

    u, v = [unit(row) for row in x], [unit(row) for row in y]
    return float(1000 * (mean(u, u) + mean(v, v) - 2 * mean(u, v)))


@pytest.mark.parametrize("block", [5, 1000])
def test_cmmd_agrees_with_many_digits_where_float32_keeps_four(block: int) -> None:
    draws = np.random.default_rng(0)
    real = draws.normal(size=(24, 16)).astype(np.float32)
    fake = (draws.normal(size=(20, 16)) + 0.3).astype(np.float32)
    expected = gaussian_by_definition(real, fake, 10)
    assert cmmd(real, fake, block=block).value == pytest.approx(expected, rel=1e-11)
    u, v = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (real, fake))
    raw = [
        np.exp(np.float32(-1 / 200) * (2 - 2 * a @ b.T).astype(np.float32)).mean()
        for a, b in ((u, u), (v, v), (u, v))
    ]
    assert abs(1000 * float(raw[0] + raw[1] - 2 * raw[2]) / expected - 1) > 1e-5


def test_cmmd_of_two_opposite_vectors_by_hand() -> None:
    """|x - y|² is 4, and each side has only its own pair: 2 - 2 exp(-4 / 200), times 1000."""
    found = cmmd(np.array([[0.0, 3.0]]), np.array([[0.0, -0.2]]))
    assert found.value == pytest.approx(2000 * (1 - np.exp(-0.02)), rel=1e-12)
    assert found.jackknife is None
    wide = cmmd(np.array([[1.0]]), np.array([[-1.0]]), sigma=1, scale=1)
    assert wide.value == pytest.approx(2 - 2 * np.exp(-2), rel=1e-12)


def test_cmmd_of_equal_sets_is_zero() -> None:
    values = np.random.default_rng(0).normal(size=(30, 12))
    assert cmmd(values, values).value == pytest.approx(0, abs=1e-12)


def test_cmmd_refuses_what_has_no_direction() -> None:
    good = np.ones((3, 2))
    with pytest.raises(DataError, match=r"fake has 1 rows of zeros, the first is row 2"):
        cmmd(good, np.array([[1.0, 0], [0, 1], [0, 0]]))
    with pytest.raises(ConfigError, match=r"sigma must be positive, got 0"):
        cmmd(good, good, sigma=0)
    with pytest.raises(ConfigError, match=r"scale must be positive, got -1"):
        cmmd(good, good, scale=-1)


def test_deleting_a_group_equals_computing_without_its_rows() -> None:
    """With groups of one row the jackknife is the textbook one."""
    real, fake = pool_features(7, 0, 4), pool_features(6, 1, 4)
    variance = 0.0
    for side, n in enumerate((7, 6)):
        left = []
        for i in range(n):
            sets = [real, fake]
            sets[side] = np.delete(sets[side], i, axis=0)
            left.append(kid_by_definition(sets[0], sets[1]))
        variance += (n - 1) / n * float(np.square(np.array(left) - np.mean(left)).sum())
    found = kid(real, fake, groups=100).jackknife
    assert found is not None
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_intervals_of_kid_hold_the_truth_as_often_as_they_say() -> None:
    width = 6
    truth = kid_by_definition(
        np.abs(np.random.default_rng(1).normal(size=(3000, width))),
        np.abs(np.random.default_rng(2).normal(0.4, 1, size=(3000, width))),
    )
    held = 0
    for seed in range(100):
        draws = np.random.default_rng(100 + seed)
        real = np.abs(draws.normal(size=(80, width)))
        fake = np.abs(draws.normal(0.4, 1, size=(80, width)))
        sure = kid(real, fake, seed=seed).jackknife
        assert sure is not None
        held += sure.low <= truth <= sure.high
    assert 88 <= held <= 100


def test_two_rows_a_side_have_a_kid_but_no_interval() -> None:
    found = kid(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]]))
    assert found.value == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4, rel=1e-12)
    assert found.jackknife is None
    with pytest.raises(DataError, match=r"real has 1 rows, at least 2"):
        kid(np.zeros((1, 2)), np.zeros((3, 2)))
