import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval import near_duplicates as module
from beholder.eval._unit_rows import Array, Floats
from beholder.eval.near_duplicates import (
    EXACT_ROWS,
    Near,
    contaminated,
    method_for,
    near_duplicates,
)
from tests.eval.test_unit_rows import unit


def angles(*degrees: float) -> Array:
    """Unit rows in the plane: the cosine of two is that of the angle between them."""
    turned = np.radians(degrees)
    return unit(np.stack([np.cos(turned), np.sin(turned)], axis=1))


def clustered(rows: int, groups: int, spread: float, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, 32))
    return unit(centres[rng.integers(groups, size=rows)] + spread * rng.normal(size=(rows, 32)))


def by_hand(values: Array, priority: Floats, threshold: float) -> dict[int, Near]:
    """The rule as it is written, one row after the other, in float64."""
    wide = values.astype(np.float64)
    kept: list[int] = []
    found = {}
    for row in sorted(range(len(wide)), key=lambda k: (-priority[k], k)):
        if np.isnan(wide[row]).any():
            continue
        others = wide[kept]
        lengths = np.sqrt((others**2).sum(1) * (wide[row] ** 2).sum())
        cosines = np.minimum((others * wide[row]).sum(1) / lengths, 1)
        if len(kept) and cosines.max() >= threshold:
            found[row] = Near(kept[int(cosines.argmax())], float(cosines.max()))
        else:
            kept.append(row)
    return dict(sorted(found.items()))


def test_a_row_like_a_dropped_one_only_is_kept() -> None:
    # a 0, b 10 and c 20 degrees: b is like both, a and c are not alike
    threshold = float(np.cos(np.radians(12)))
    found = near_duplicates(angles(0, 10, 20), [3, 2, 1], threshold)
    assert list(found) == [1]
    assert found[1].of == 0
    assert found[1].similarity == pytest.approx(np.cos(np.radians(10)), abs=1e-7)


def test_of_alike_rows_the_highest_priority_stays_and_of_equals_the_first() -> None:
    rows = angles(0, 0, 0, 90)
    assert set(near_duplicates(rows, [1, 3, 2, 0], 0.9)) == {0, 2}
    assert set(near_duplicates(rows, [1, 1, 1, 1], 0.9)) == {1, 2}
    assert set(near_duplicates(rows, [np.nan, -np.inf, -1, 0], 0.9)) == {0, 1}


def test_a_dropped_row_names_the_most_similar_row_that_was_kept_before() -> None:
    found = near_duplicates(angles(0, 30, 18, 19), [4, 3, 2, 1], 0.9)
    assert {row: near.of for row, near in found.items()} == {2: 1, 3: 1}


def test_rows_of_nan_are_never_near_anything() -> None:
    rows = angles(0, 0, 0)
    rows[1] = np.nan
    assert list(near_duplicates(rows, [1, 3, 2], 0.5)) == [0]
    assert list(contaminated(rows, rows[1:], 0.5)) == [0, 2]
    assert near_duplicates(np.full((4, 2), np.nan, np.float32), np.zeros(4), 0.5) == {}


@pytest.mark.parametrize("seed", range(3))
def test_the_answer_is_that_of_the_written_rule_for_any_block(seed: int) -> None:
    rows = clustered(300, 40, 0.12, seed)
    rows[5], rows[7] = np.nan, rows[9]
    priority = np.random.default_rng(seed).integers(0, 4, size=300).astype(float)
    expected = by_hand(rows, priority, 0.97)
    assert 60 < len(expected) < 280
    for block in (1, 7, 128, 4096):
        assert near_duplicates(rows, priority, 0.97, block=block) == expected


def test_others_in_several_chunks_are_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clustered(200, 120, 0.1)
    whole = near_duplicates(rows, np.zeros(200), 0.97, block=16), contaminated(rows, rows, 0.97)
    monkeypatch.setattr(module, "_OTHERS", 3)
    assert near_duplicates(rows, np.zeros(200), 0.97, block=16) == whole[0]
    assert contaminated(rows, rows, 0.97) == whole[1]


def test_cells_find_nearly_all_pairs_of_clustered_rows_and_no_false_one() -> None:
    rows = clustered(6000, 2000, 0.12)
    exact = near_duplicates(rows, np.zeros(6000), 0.95)
    cells = near_duplicates(rows, np.zeros(6000), 0.95, method="cells", block=256)
    assert len(exact) > 3000
    assert len(exact.keys() & cells.keys()) >= 0.99 * len(exact)
    wide = rows.astype(np.float64)
    assert all(wide[row] @ wide[near.of] > 0.9499 for row, near in cells.items())
    assert not {near.of for near in cells.values()} & cells.keys()
    again = near_duplicates(rows, np.zeros(6000), 0.95, method="cells", block=256)
    assert cells == again


def test_a_row_like_one_of_the_evaluation_set_names_the_most_similar_of_it() -> None:
    found = contaminated(angles(0, 40, 90), angles(50, 3, 1, 41), 0.99)
    assert {row: near.of for row, near in found.items()} == {0: 2, 1: 3}
    assert found[0].similarity == pytest.approx(np.cos(np.radians(1)), abs=1e-7)


def test_large_tables_are_compared_by_cells() -> None:
    assert method_for(EXACT_ROWS) == "exact"
    assert method_for(EXACT_ROWS + 1) == "cells"


def test_what_does_not_fit_is_refused() -> None:
    rows = angles(0, 90)
    with pytest.raises(DataError, match=r"2 embeddings but priorities \(3,\)"):
        near_duplicates(rows, [1, 2, 3], 0.9)
    with pytest.raises(DataError, match="make both with one embedder"):
        contaminated(rows, np.eye(3, dtype=np.float32), 0.9)
    with pytest.raises(ConfigError, match="block must have"):
        near_duplicates(rows, [1, 2], 0.9, block=0)
    with pytest.raises(ConfigError, match='"exact" or "cells"'):
        near_duplicates(rows, [1, 2], 0.9, method="fast")
