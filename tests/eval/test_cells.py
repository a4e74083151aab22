import numpy as np

from beholder.eval._cells import Cells, cells_of, one_cell
from beholder.eval._unit_rows import Array, Places, UnitRows
from tests.eval.test_unit_rows import unit


def groups(seed: int) -> tuple[Array, Places]:
    rng = np.random.default_rng(seed)
    centres, group = rng.normal(size=(5, 16)), rng.integers(5, size=300)
    return unit(centres[group] + 0.05 * rng.normal(size=(300, 16))), group


def test_rows_of_one_group_share_a_cell() -> None:
    values, group = groups(0)
    cells = cells_of(UnitRows(values, "rows"), 20, seed=0)
    own = cells.nearest(values, 1)[:, 0]
    assert all(len(set(group[own == cell])) == 1 for cell in set(own))
    assert np.allclose(np.linalg.norm(cells.centres, axis=1), 1, atol=1e-6)


def test_the_same_seed_gives_the_same_cells_and_another_others() -> None:
    rows = UnitRows(groups(1)[0], "rows")
    first, again, other = (cells_of(rows, 8, seed).centres for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_there_are_no_more_cells_than_rows_and_rows_of_nan_make_none() -> None:
    values = np.concatenate([np.full((3, 16), np.nan, np.float32), groups(2)[0][:2]])
    cells = cells_of(UnitRows(values, "rows"), 10, seed=0)
    assert cells.centres.shape == (2, 16)
    assert np.isfinite(cells.centres).all()


def test_the_nearest_cells_come_nearest_first() -> None:
    cells = Cells(unit(np.array([[0, 1], [1, 1], [1, 0]])))
    rows = unit(np.array([[1, 0.1], [0.1, 1]]))
    assert cells.nearest(rows, 3).tolist() == [[2, 1, 0], [0, 1, 2]]
    assert cells.nearest(rows, 9).shape == (2, 3)
    assert one_cell(2).nearest(rows, 4).tolist() == [[0], [0]]
