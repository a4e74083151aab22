"""Flags equal those of every pair in float64, and move as the papers say they should."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval import precision_recall as module
from beholder.eval._features import Array
from beholder.eval.precision_recall import NAMES, Neighbourhoods, precision_recall
from tests.eval.neighbourhood import distances, manifold_sets, radii


def flips(found: Neighbourhoods, real: Array, fake: Array) -> int:
    """How many flags differ from those of all pairs in float64."""
    across, closest = distances(real, fake), radii(real, found.k)
    open_balls = across < radii(real, found.density_k)[:, None]
    return int(
        (found.precise != (across <= closest[:, None]).any(axis=0)).sum()
        + (found.recalled != (across <= radii(fake, found.k)).any(axis=1)).sum()
        + (found.balls != open_balls.sum(axis=0)).sum()
        + (found.covered != open_balls.any(axis=1)).sum()
    )


@pytest.mark.parametrize("offset", [0, 10, 100, 1000])
@pytest.mark.parametrize("copies", [0, 12])
def test_no_flag_differs_from_float64(offset: float, copies: int) -> None:
    real, fake = manifold_sets(300, 260, 256, offset, copies)
    assert flips(precision_recall(real, fake, block=128), real, fake) == 0


def test_an_offset_that_misleads_products_of_raw_features_is_harmless() -> None:
    draws = np.random.default_rng(0)
    real, fake = (draws.normal(1000, 1, size=(300, 256)).astype(np.float32) for _ in range(2))
    found = precision_recall(real, fake)
    assert flips(found, real, fake) == 0
    a, b = torch.from_numpy(real), torch.from_numpy(fake)
    mode = "use_mm_for_euclid_dist"
    reach = torch.cdist(a, a, compute_mode=mode).kthvalue(4).values
    misled = (torch.cdist(a, b, compute_mode=mode) <= reach[:, None]).any(0).float().mean()
    assert abs(float(misled) - found.precision) > 0.03


def test_the_size_of_blocks_changes_nothing() -> None:
    real, fake = manifold_sets(101, 90, 40, 5, copies=5)
    whole = precision_recall(real, fake)
    for block in (16, 33, 100):
        parts = precision_recall(real, fake, block=block)
        for name in NAMES:
            assert np.array_equal(parts.samples()[name], whole.samples()[name])


def test_swapped_sides_swap_precision_and_recall() -> None:
    real, fake = manifold_sets(120, 90, 40)
    one, other = precision_recall(real, fake), precision_recall(fake, real)
    assert np.array_equal(one.precise, other.recalled)
    assert np.array_equal(one.recalled, other.precise)


def test_five_points_on_a_line_by_hand() -> None:
    """Balls of k=1: real 0, 1 and 3 reach 1, 1, 2; fake 0.5, 5.5 and 9 reach 5, 3.5, 3.5."""
    real, fake = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [5.5], [9.0]])
    found = precision_recall(real, fake, k=1, density_k=1)
    assert found.precise.tolist() == [True, False, False]
    assert found.recalled.tolist() == [True, True, True]
    assert found.balls.tolist() == [2, 0, 0]  # 3 - 0.5 is more than 2
    assert found.covered.tolist() == [True, True, False]
    assert (found.precision, found.recall) == pytest.approx((1 / 3, 1))
    assert (found.density, found.coverage) == pytest.approx((2 / 3, 2 / 3))


@pytest.mark.parametrize(("border", "inside"), [("closed", True), ("open", False)])
def test_a_picture_on_the_border_is_inside_a_closed_ball_only(border: str, inside: bool) -> None:
    real, fake = np.array([[0.0], [1.0]]), np.array([[2.0], [100.0]])
    found = precision_recall(real, fake, k=1, density_k=1, border=border, density_border=border)
    assert found.precise.tolist() == [inside, False]
    assert found.covered.tolist() == [False, inside]


def test_copies_of_a_collapsed_real_set_are_inside_although_its_balls_are_points() -> None:
    real, _ = manifold_sets(30, 1, 64, 100)
    real[:10] = real[0]
    fake = np.concatenate([real[:1].repeat(8, axis=0), real[20:] + np.float32(50)])
    found = precision_recall(real, fake)
    assert found.precise[:8].all()
    assert found.recalled[:10].all()
    assert not found.precise[8:].any()
    assert (found.balls[:8] == 0).all()  # an open ball of radius 0 holds nothing


@pytest.mark.parametrize("apart", [1e4, 1e8])
def test_clusters_far_apart_are_decided_again_in_float64(apart: float) -> None:
    real, fake = manifold_sets(60, 60, 30)
    place = apart * np.random.default_rng(5).normal(size=(3, 30)).repeat(20, axis=0)
    real, fake = real + place, fake + place
    assert flips(precision_recall(real, fake, block=32), real, fake) == 0


def test_tensors_and_memory_maps_give_the_same(tmp_path: Path) -> None:
    real, fake = manifold_sets(80, 70, 20)
    np.save(tmp_path / "real.npy", real)
    mapped = np.load(tmp_path / "real.npy", mmap_mode="r")
    with torch.autocast("cpu", torch.bfloat16):
        found = precision_recall(mapped, torch.from_numpy(fake).requires_grad_())
    assert flips(found, real, fake) == 0


def test_tensors_that_stay_on_their_device_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU is not needed for the branch that works on tensors where they are."""
    real, fake = manifold_sets(80, 70, 20, 100, copies=5)
    monkeypatch.setattr(module, "checked_pair", lambda first, second, _names: (first, second))
    found = precision_recall(torch.from_numpy(real), torch.from_numpy(fake), block=32)
    assert flips(found, real, fake) == 0


def test_noise_lowers_precision_and_dropped_modes_lower_recall() -> None:
    draws = np.random.default_rng(0)
    modes = 12 * draws.normal(size=(5, 32))

    def clusters(kinds: int) -> Array:
        return modes[draws.integers(kinds, size=400)] + draws.normal(size=(400, 32))

    real = clusters(5)
    alike, dropped = precision_recall(real, clusters(5)), precision_recall(real, clusters(2))
    noisy = precision_recall(real, clusters(5) + 1.5 * draws.normal(size=(400, 32)))
    assert noisy.precision < 0.1 < 0.6 < alike.precision
    assert noisy.density < 0.1 < 0.8 < alike.density < 1.2
    assert dropped.precision > 0.6
    assert dropped.recall < 0.45 < 0.6 < alike.recall
    assert dropped.coverage < 0.45 < 0.8 < alike.coverage


def test_intervals_hold_the_figure_and_shrink_with_the_root_of_the_pictures() -> None:
    real, fake = manifold_sets(800, 200, 20)
    found = precision_recall(real, fake)
    intervals = found.intervals(500, seed=1)
    assert set(intervals) == set(NAMES)
    for name, values in found.samples().items():
        error = values.std() / np.sqrt(len(values))
        assert intervals[name].holds(values.mean())
        width = intervals[name].high - intervals[name].low
        assert width == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_sets_without_k_neighbours_are_refused() -> None:
    real, fake = manifold_sets(6, 5, 4)
    with pytest.raises(DataError, match=r"fake has 5 rows, so none has 5 neighbours; give 6"):
        precision_recall(real, fake)
    assert precision_recall(real, fake, k=4, density_k=4).precise.shape == (5,)
    with pytest.raises(DataError, match=r"real has 3 rows"):
        precision_recall(real[:3], fake, k=3, density_k=1)


def test_settings_that_mean_nothing_are_refused() -> None:
    real, fake = manifold_sets(9, 9, 4)
    with pytest.raises(ConfigError, match=r"density_k must be 1 or more neighbours, got 0"):
        precision_recall(real, fake, density_k=0)
    with pytest.raises(ConfigError, match=r"unknown border 'ajar'; it is 'closed'"):
        precision_recall(real, fake, border="ajar")
    with pytest.raises(ConfigError, match=r"block must be"):
        precision_recall(real, fake, block=0)


def test_prdc_says_the_same() -> None:
    prdc = pytest.importorskip("prdc", reason="prdc is not installed")
    real, fake = (side.astype(np.float64) for side in manifold_sets(300, 260, 64, 3))
    theirs = prdc.compute_prdc(real, fake, nearest_k=5)
    ours = precision_recall(real, fake, k=5, border="open")
    for name in NAMES:
        assert getattr(ours, name) == pytest.approx(theirs[name], abs=1e-12)


def test_torch_fidelity_says_the_same_without_an_offset() -> None:
    prc = pytest.importorskip("torch_fidelity.metric_prc", reason="torch-fidelity is not installed")
    real, fake = manifold_sets(300, 260, 64)
    theirs = prc.calculate_precision_recall_full(torch.from_numpy(fake), torch.from_numpy(real))
    ours = precision_recall(real, fake)
    assert (ours.precision, ours.recall) == pytest.approx(theirs, abs=1e-6)


_MEASURED = """
import sys
from pathlib import Path
import numpy as np, torch
from beholder.eval.precision_recall import precision_recall
torch.set_num_threads(1)

def peak():
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmHWM"))

real, fake = (np.random.default_rng(s).normal(size=(8000, 8)).astype(np.float32) for s in (0, 1))
precision_recall(real[:600], fake[:600], block=512)
before = peak()
precision_recall(real, fake, block=512)
sys.stdout.write(str(peak() - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_pairs() -> None:
    """All distances of 8000 by 8000 pictures would be 256 MB."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40_000  # KiB
