import math

import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval.pareto import Objective, ParetoPoint, dominance, pareto_front

QUALITY = Objective(name="quality", column="r.total")
COST = Objective(name="cost", minimise=True, values={"a": 1.0})


def points(values: list[list[float]]) -> list[ParetoPoint]:
    return pareto_front("abcde"[: len(values)], np.array(values), [QUALITY, COST])


def test_the_front_is_what_nothing_beats_in_both() -> None:
    # good and dear; fair and cheap; worse than fair and as cheap; poor and dear
    found = points([[3.0, 9.0], [2.0, 1.0], [1.0, 1.0], [0.0, 9.0]])
    assert [p.on_front for p in found] == [True, True, False, False]
    assert found[2].dominated_by == ["b"]
    assert found[3].dominated_by == ["a", "b", "c"]
    assert found[0].values == {"quality": 3.0, "cost": 9.0}


def test_equal_points_are_on_the_front_together() -> None:
    found = points([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    assert [p.on_front for p in found] == [True, True, False]
    assert found[2].dominated_by == ["a", "b"]


def test_a_point_with_an_unknown_number_is_compared_with_none() -> None:
    found = points([[9.0, math.nan], [1.0, 1.0], [0.0, 2.0]])
    assert (found[0].on_front, found[0].missing, found[0].dominated_by) == (False, ["cost"], [])
    assert [p.on_front for p in found[1:]] == [True, False]
    assert found[2].dominated_by == ["b"]


@pytest.mark.parametrize("objectives", [1, 2, 5])
def test_dominance_is_its_definition(objectives: int) -> None:
    values = np.random.default_rng(objectives).integers(0, 3, (7, objectives)).astype(np.float64)
    found = dominance(values)
    for i, x in enumerate(values):
        for j, y in enumerate(values):
            better = all(a >= b for a, b in zip(x, y, strict=True)) and x.tolist() != y.tolist()
            assert found[i, j] == better


def test_one_objective_has_its_best_on_the_front() -> None:
    found = pareto_front("abc", np.array([[2.0], [5.0], [5.0]]), [QUALITY])
    assert [p.on_front for p in found] == [False, True, True]


def test_the_frequency_is_the_share_of_draws_on_the_front() -> None:
    samples = np.array(
        [[[1.0, 1.0], [2.0, 1.0]], [[2.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [2.0, 1.0]]]
    )
    found = pareto_front("ab", samples.mean(0), [QUALITY, COST], samples)
    # a is beaten in the first draw, b in the second, neither in the third
    assert [p.frequency for p in found] == pytest.approx([2 / 3, 2 / 3])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="a row for each point"):
        pareto_front("ab", np.zeros((2, 1)), [QUALITY, COST])
    with pytest.raises(ConfigError, match="one of them"):
        Objective(name="x")
