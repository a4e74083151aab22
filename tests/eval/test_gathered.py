"""Batches, merges and saved states make the same features and sums as one pass."""

from dataclasses import replace

import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval import _gathered
from beholder.eval._features import Array, Features
from beholder.eval._gathered import Gathered
from beholder.eval._origin import Origin
from beholder.eval.statistics import Statistics

ORIGINS = [
    Origin(extractor="toy", weights="w", layer=layer, resize="r", decode="d")
    for layer in ("one", "two")
]
ROWS = np.random.default_rng(0).normal(5, 2, (40, 6)).astype(np.float32)


def gathered(rows: Array, *, as_sums: bool, step: int = 7, labels: bool = False) -> Gathered:
    found = Gathered(ORIGINS, as_sums=as_sums)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        names = [f"class {at % 3}" for at in range(start, start + len(block))] if labels else []
        found.add([block, block[:, :2]], names)
    return found


def whole(found: Gathered, number: int) -> Array:
    held = found.held(number)
    assert isinstance(held, Features)
    return held.values


def sums(found: Gathered, number: int) -> Statistics:
    held = found.held(number)
    assert isinstance(held, Statistics)
    return held


def assert_sums(found: Gathered) -> None:
    for number, rows in enumerate((ROWS, ROWS[:, :2])):
        held = sums(found, number)
        assert held.count == 40
        np.testing.assert_allclose(held.mean, rows.mean(0, dtype=np.float64), rtol=1e-12)
        np.testing.assert_allclose(held.covariance(), np.cov(rows.T.astype(float)), rtol=1e-11)
        assert held.origin == ORIGINS[number]


@pytest.mark.parametrize("waiting", [1, 10, 1000])
def test_sums_of_batches_are_those_of_all_rows(
    monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    monkeypatch.setattr(_gathered, "_WAITING", waiting)
    assert_sums(gathered(ROWS, as_sums=True))


def test_rows_are_kept_in_order() -> None:
    found = gathered(ROWS, as_sums=False, labels=True)
    np.testing.assert_array_equal(whole(found, 0), ROWS)
    np.testing.assert_array_equal(whole(found, 1), ROWS[:, :2])
    assert found.labels_by_key()["4"] == "class 1"
    assert gathered(ROWS, as_sums=False).labels_by_key() == {}
    clips = Gathered(ORIGINS, as_sums=False, mark="#0")
    clips.add([ROWS[:2], ROWS[:2, :2]], ["a", "b"])
    assert clips.labels_by_key() == {"0#0": "a", "1#0": "b"}
    assert clips.empty().merged(clips).keys == ("0#0", "1#0")


@pytest.mark.parametrize("cut", [0, 13, 40])
def test_merging_parts_is_one_pass(cut: int) -> None:
    parts = [gathered(rows, as_sums=True) for rows in (ROWS[:cut], ROWS[cut:])]
    assert_sums(parts[0].merged(parts[1]))
    parts = [gathered(rows, as_sums=False) for rows in (ROWS[:cut], ROWS[cut:])]
    merged = parts[0].merged(parts[1])
    np.testing.assert_array_equal(whole(merged, 0), ROWS)
    assert [part.rows for part in (*parts, merged)] == [cut, 40 - cut, 40]


@pytest.mark.parametrize("as_sums", [True, False])
def test_a_saved_state_goes_on_where_it_was(as_sums: bool) -> None:
    arrays = gathered(ROWS[:25], as_sums=as_sums, labels=True).arrays()
    found = Gathered(ORIGINS, as_sums=as_sums)
    found.restore(arrays)
    found.add([ROWS[25:], ROWS[25:, :2]], ["x"] * 15)
    assert (found.rows, len(found.labels)) == (40, 40)
    if as_sums:
        assert_sums(found)
    else:
        np.testing.assert_array_equal(whole(found, 0), ROWS)
    found.restore(Gathered(ORIGINS, as_sums=as_sums).arrays())
    assert found.rows == 0
    with pytest.raises(DataError, match=r"but .* are kept here"):
        Gathered(ORIGINS, as_sums=not as_sums).restore(arrays)


def test_what_does_not_fit_is_refused() -> None:
    found = gathered(ROWS, as_sums=False, labels=True)
    with pytest.raises(DataError, match="2 pictures but 0 labels"):
        found.add([ROWS[:2], ROWS[:2, :2]])
    with pytest.raises(DataError, match="NaN"):
        found.add([ROWS[:2] * np.nan, ROWS[:2, :2]], ["a", "b"])
    with pytest.raises(DataError, match="one part has labels"):
        found.merged(gathered(ROWS, as_sums=False))
    with pytest.raises(DataError, match="layer: one and two"):
        found.merged(Gathered(ORIGINS[::-1], as_sums=False))
    with pytest.raises(DataError, match="there are no pictures"):
        Gathered(ORIGINS, as_sums=True).held(0)
    assert found.rows == 40


@pytest.mark.parametrize("as_sums", [True, False])
def test_a_state_of_other_networks_is_refused_with_both_named(as_sums: bool) -> None:
    arrays = gathered(ROWS, as_sums=as_sums).arrays()
    clean = Gathered([replace(origin, resize="clean") for origin in ORIGINS], as_sums=as_sums)
    with pytest.raises(DataError, match=r"do not fit \(resize: r and clean\)"):
        clean.restore(arrays)
    other = Gathered([ORIGINS[0], replace(ORIGINS[1], extractor="clip")], as_sums=as_sums)
    with pytest.raises(DataError, match=r"extractor: toy and clip"):
        other.restore(arrays)
    with pytest.raises(DataError, match="of 2 networks, not 1"):
        Gathered(ORIGINS[:1], as_sums=as_sums).restore(arrays)
    del arrays["origins"]
    with pytest.raises(DataError, match="does not say what made its features"):
        Gathered(ORIGINS, as_sums=as_sums).restore(arrays)
    assert clean.rows == other.rows == 0


def test_an_empty_state_of_other_networks_is_refused_too() -> None:
    arrays = Gathered(ORIGINS, as_sums=True).arrays()
    with pytest.raises(DataError, match="layer: one and two"):
        Gathered(ORIGINS[::-1], as_sums=True).restore(arrays)
