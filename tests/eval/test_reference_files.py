from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Features
from beholder.eval._origin import UNKNOWN, Origin
from beholder.eval.frechet import from_features, from_statistics
from beholder.eval.reference_files import (
    is_reference,
    read_reference,
    write_features,
    write_reference,
)
from beholder.eval.statistics import Statistics
from tests.eval.exact_frechet import ORIGIN

RNG = np.random.default_rng(8)
ROWS = RNG.normal(size=(30, 4)).astype(np.float32)
SPATIAL = RNG.normal(size=(30, 3)).astype(np.float32)
NOWHERE = Origin.from_dict({})


def sums(rows: Any) -> tuple[Any, Any]:
    """Mean and covariance as every one of these programs computes them."""
    return np.mean(rows, axis=0), np.cov(rows, rowvar=False)


def statistics(path: Path, layer: str = UNKNOWN) -> Statistics:
    found = read_reference(path)[layer]
    assert isinstance(found, Statistics)
    return found


def features(path: Path, layer: str = UNKNOWN) -> Features:
    found = read_reference(path)[layer]
    assert isinstance(found, Features)
    return found


def test_pytorch_fids_and_clean_fids_statistics_are_read(tmp_path: Path) -> None:
    path = tmp_path / "stats.npz"
    mean, covariance = sums(ROWS)
    np.savez_compressed(path, mu=mean, sigma=covariance)  # as both of them do
    found = statistics(path)
    assert (found.count, found.origin) == (None, NOWHERE)
    np.testing.assert_array_equal(found.mean, mean)
    np.testing.assert_array_equal(found.covariance(), covariance)
    other = Statistics.of(ROWS[:20] + 1, NOWHERE)
    expected = float(from_features(ROWS, ROWS[:20] + 1))
    assert from_statistics(found, other) == pytest.approx(expected, rel=1e-6)  # mu is float32


def test_adms_statistics_are_read_for_both_layers(tmp_path: Path) -> None:
    path = tmp_path / "VIRTUAL_lsun.npz"
    (mean, covariance), (spatial_mean, spatial) = sums(ROWS), sums(SPATIAL)
    pictures = np.zeros((2, 8, 8, 3), np.uint8)
    np.savez(path, arr_0=pictures, mu=mean, sigma=covariance, mu_s=spatial_mean, sigma_s=spatial)
    assert is_reference(path)
    assert list(read_reference(path)) == ["2048", "sfid"]
    pooled, placed = statistics(path, "2048"), statistics(path, "sfid")
    np.testing.assert_array_equal(pooled.covariance(), covariance)
    np.testing.assert_array_equal(placed.covariance(), spatial)
    assert pooled.count is None
    assert (pooled.origin.extractor, pooled.origin.resize) == ("inception-2015-12-05", "tf1")
    assert (pooled.origin.layer, placed.origin.layer) == ("2048", "sfid")
    assert (pooled.origin.weights, pooled.origin.decode) == (UNKNOWN, UNKNOWN)


def test_dgm_evals_features_are_read_without_unpickling_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "reps_cifar10_dinov2_nimage-30_train.npz"
    settings = np.array({"batch_size": 50, "nimages": 30}, dtype=object)
    np.savez(path, model="dinov2", reps=ROWS.astype(np.float64), hparams=settings)
    assert is_reference(path)
    found = features(path)
    np.testing.assert_array_equal(found.values, ROWS)
    assert found.origin == NOWHERE


def test_clean_fids_kid_features_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "name_clean_custom_na_kid.npz", feats=ROWS)
    np.testing.assert_array_equal(features(tmp_path / "name_clean_custom_na_kid.npz").values, ROWS)


def test_plain_matrices_are_features(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    np.savez(tmp_path / "a.npz", whatever=ROWS)
    for name in ("a.npy", "a.npz"):
        assert is_reference(tmp_path / name)
        np.testing.assert_array_equal(features(tmp_path / name).values, ROWS)


@pytest.mark.parametrize("name", ["f.safetensors", "f.npz"])
@pytest.mark.parametrize("keys", [(), tuple(f"bild-ä {i}.png" for i in range(30))])
def test_our_features_keep_origin_and_keys(
    tmp_path: Path, name: str, keys: tuple[str, ...]
) -> None:
    write_features(Features(ROWS, ORIGIN, keys), tmp_path / name)
    assert is_reference(tmp_path / name)
    found = features(tmp_path / name, ORIGIN.layer)
    assert (found.origin, found.keys) == (ORIGIN, keys)
    np.testing.assert_array_equal(found.values, ROWS)
    assert found.values.dtype == np.float32


@pytest.mark.parametrize("name", ["s.safetensors", "s.npz"])
def test_our_statistics_are_read_by_their_layer(tmp_path: Path, name: str) -> None:
    whole = Statistics.of(ROWS, ORIGIN)
    whole.save(tmp_path / name)
    assert is_reference(tmp_path / name)
    found = statistics(tmp_path / name, ORIGIN.layer)
    assert (found.count, found.origin) == (30, ORIGIN)
    np.testing.assert_array_equal(found.scatter, whole.scatter)


@pytest.mark.parametrize("layout", ["pytorch-fid", "clean-fid"])
def test_other_programs_find_the_arrays_they_look_for(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "w.npz"
    write_reference({"2048": Features(ROWS, ORIGIN)}, path, layout)
    mean, covariance = sums(ROWS.astype(np.float64))
    with np.load(path) as file:
        assert file.files == ["mu", "sigma"]
        np.testing.assert_allclose(file["mu"], mean, rtol=1e-12)
        np.testing.assert_allclose(file["sigma"], covariance, rtol=1e-12)


def test_adm_and_feature_layouts_are_written(tmp_path: Path) -> None:
    held = {"2048": Statistics.of(ROWS, ORIGIN), "sfid": Statistics.of(SPATIAL, ORIGIN)}
    write_reference(held, tmp_path / "adm.npz", "adm")
    with np.load(tmp_path / "adm.npz") as file:
        assert sorted(file.files) == ["mu", "mu_s", "sigma", "sigma_s"]
        np.testing.assert_allclose(file["sigma_s"], np.cov(SPATIAL, rowvar=False), rtol=1e-6)
    for layout, key in (("dgm-eval", "reps"), ("clean-fid-kid", "feats")):
        write_reference({"2048": Features(ROWS, ORIGIN)}, tmp_path / "f.npz", layout)
        with np.load(tmp_path / "f.npz") as file:
            assert file.files == [key]
            np.testing.assert_array_equal(file[key], ROWS)


def test_what_a_layout_cannot_hold_is_refused(tmp_path: Path) -> None:
    whole = Statistics.of(ROWS, ORIGIN)
    with pytest.raises(DataError, match="only statistics"):
        write_reference({"2048": whole}, tmp_path / "a.npz", "dgm-eval")
    with pytest.raises(DataError, match="2048 and sfid, got 2048"):
        write_reference({"2048": whole}, tmp_path / "a.npz", "adm")
    with pytest.raises(DataError, match="hold one layer, got a, b"):
        write_reference({"a": whole, "b": whole}, tmp_path / "a.npz", "pytorch-fid")
    with pytest.raises(ConfigError, match="unknown layout 'tf'"):
        write_reference({"a": whole}, tmp_path / "a.npz", "tf")
    with pytest.raises(ConfigError, match=r"reads .npz files"):
        write_reference({"a": whole}, tmp_path / "a.npy", "clean-fid")


def test_pictures_and_clips_are_no_reference(tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", arr_0=np.zeros((3, 8, 8, 3), np.uint8), arr_1=np.arange(3))
    np.save(tmp_path / "clips.npy", np.zeros((2, 4, 8, 8, 3), np.uint8))
    for name in ("samples.npz", "clips.npy", "missing.npz", "photo.png"):
        assert not is_reference(tmp_path / name)
    assert not is_reference(tmp_path)
    with pytest.raises(DataError, match="look like pictures or clips"):
        read_reference(tmp_path / "clips.npy")
    with pytest.raises(DataError, match="holds arr_0, arr_1; expected mu and sigma"):
        read_reference(tmp_path / "samples.npz")


COVARIANCE = np.cov(ROWS, rowvar=False)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"mu": np.zeros(4)}, "cannot read"),
        ({"mu": np.zeros(3), "sigma": COVARIANCE}, "do not fit"),
        ({"mu": np.zeros(4), "sigma": COVARIANCE[:, :3]}, "do not fit"),
        ({"mu": np.zeros((1, 4)), "sigma": COVARIANCE}, "do not fit"),
        ({"mu": np.full(4, np.nan), "sigma": COVARIANCE}, "NaN"),
        ({"mu": np.zeros(4), "sigma": np.triu(COVARIANCE)}, "not symmetric"),
        ({"mu": np.zeros(4), "sigma": -COVARIANCE}, "not positive semidefinite"),
        ({"mu": np.array(["a"] * 4), "sigma": COVARIANCE}, "must be floats"),
        ({"mu": np.zeros(4), "sigma": np.array([None] * 4, dtype=object)}, "cannot read"),
        ({"reps": np.full((3, 4), np.inf)}, "NaN or infinite"),
        ({"reps": np.zeros(5)}, "two axes"),
        ({"x": np.zeros((3, 4)), "y": np.zeros((3, 4))}, "expected mu and sigma"),
        ({}, "holds nothing"),
    ],
)
def test_files_that_hold_no_reference_say_why(
    tmp_path: Path, arrays: dict[str, Any], why: str
) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=why) as caught:
        read_reference(path)
    assert str(path) in str(caught.value)


def test_a_damaged_file_counts_as_a_reference_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "stats.npz"
    path.write_bytes(b"\x00" * 100)
    assert is_reference(path)
    with pytest.raises(DataError, match="cannot read"):
        read_reference(path)
