from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._array_files import write_arrays
from beholder.eval._features import Features
from beholder.eval._origin import UNKNOWN, Origin, check_same
from beholder.eval.frechet import from_features, from_statistics
from beholder.eval.reference_files import (
    KIND,
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
NOWHERE = Origin.from_dict({"clips": UNKNOWN})


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
    assert pooled.origin.clips == "", "they are of pictures"


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
    np.savez(tmp_path / "labelled.npz", labels=np.arange(3), images=np.zeros((3, 8, 8, 3)))
    for name in ("samples.npz", "labelled.npz", "clips.npy", "missing.npz", "photo.png"):
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


def test_statistics_of_somebody_elses_videos_are_usable_if_a_person_vouches(tmp_path: Path) -> None:
    path = tmp_path / "ucf101.npz"
    mean, covariance = sums(ROWS)
    np.savez(path, mu=mean, sigma=covariance)
    ours = Origin(**{**ORIGIN.as_dict(), "clips": "first 16 frames, stride 1"})
    with pytest.raises(DataError, match="clips: unknown and first 16 frames"):
        check_same(statistics(path).origin, ours)
    check_same(statistics(path).origin, ours, assumed=True)


def test_files_of_ours_that_say_nothing_of_clips_are_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "old.npz"
    about = {k: v for k, v in ORIGIN.as_dict().items() if k != "clips"}
    write_arrays(path, {"values": ROWS}, {"kind": KIND, **about})
    assert features(path, ORIGIN.layer).origin == ORIGIN


@pytest.mark.parametrize("name", ["f.safetensors", "f.npz"])
def test_our_features_keep_the_classes_of_their_rows(tmp_path: Path, name: str) -> None:
    labels = tuple(["räd", "green", ""][row % 3] for row in range(30))
    write_features(Features(ROWS, ORIGIN, labels=labels), tmp_path / name)
    assert features(tmp_path / name, ORIGIN.layer).labels == labels


def test_two_rows_of_one_key_are_refused(tmp_path: Path) -> None:
    keys = ("a.png", "b.png", *(f"c{row}.png" for row in range(27)), "b.png")
    with pytest.raises(DataError, match=r"f\.npz: 2 rows have the key 'b\.png'"):
        write_features(Features(ROWS, ORIGIN, keys), tmp_path / "f.npz")
    about = {"kind": KIND, "keys": json.dumps(keys), **ORIGIN.as_dict()}
    write_arrays(tmp_path / "f.npz", {"values": ROWS}, about)
    with pytest.raises(DataError, match=r"f\.npz: 2 rows have the key 'b\.png'"):
        read_reference(tmp_path / "f.npz")


@pytest.mark.parametrize("name", ["keys", "labels"])
@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("{", "are damaged"),
        ('"abc"', "a list of strings"),
        ("[1, 2]", "a list of strings"),
        ('["a"]', "30 rows of features but 1"),
    ],
)
def test_damaged_names_of_rows_are_named_with_their_file(
    tmp_path: Path, name: str, words: str, why: str
) -> None:
    about = {"kind": KIND, name: words, **ORIGIN.as_dict()}
    write_arrays(tmp_path / "f.npz", {"values": ROWS}, about)
    with pytest.raises(DataError, match=rf"f\.npz: .*{why}") as found:
        read_reference(tmp_path / "f.npz")
    assert name in str(found.value)
