import math

import numpy as np
import pytest

from beholder.errors import ConfigError
from beholder.eval._ranking.cells import Cells
from beholder.eval._ranking.redrawing import redrawn
from beholder.eval._ranking.trade_offs import front
from beholder.eval.pareto import Objective
from tests.eval._ranking.samples import cells

# on p a and b are equal, on q b is better; a prompt that is drawn twice leaves no difference on p
ROWS = [("a", "p", 1.0), ("b", "p", 1.0), ("a", "q", 1.0), ("b", "q", 3.0)]


def quality(column: str) -> Cells:
    assert column == "r.total"
    return cells(ROWS)


def test_means_are_redrawn_and_given_numbers_are_not() -> None:
    objectives = [
        Objective(name="quality", column="r.total"),
        Objective(name="cost", minimise=True, values={"a": 2.0, "b": 2.0}),
    ]
    b, a = front("ba", objectives, quality, resample="prompts", draws=2000, seed=0)
    assert (b.values, b.on_front) == ({"quality": 2.0, "cost": 2.0}, True)
    assert (a.on_front, a.dominated_by) == (False, ["b"])
    assert b.frequency == 1.0
    assert a.frequency == pytest.approx(0.25, abs=0.03)  # of p twice, one draw in four


def test_numbers_alone_have_no_frequency() -> None:
    objectives = [Objective(name=n, values={"a": 1.0, "b": 2.0}) for n in ("x", "y")]
    points = front("ab", objectives, quality, resample="prompts", draws=5, seed=0)
    assert np.isnan([point.frequency for point in points]).all()


def test_a_checkpoint_without_a_number_is_named_and_strangers_are_refused() -> None:
    known = Objective(name="x", values={"a": 1.0})
    points = front("ab", [known, known], quality, resample="prompts", draws=5, seed=0)
    assert points[1].missing == ["x", "x"]
    with pytest.raises(ConfigError, match="numbers of z, but the checkpoints are a, b"):
        stranger = Objective(name="x", values={"z": 1.0})
        front("ab", [known, stranger], quality, resample="prompts", draws=5, seed=0)


def test_numbers_of_checkpoints_that_are_numbers_are_found() -> None:
    given = Objective(name="x", values={"1000.0": 1.0, "2000": 3.0})
    points = front(["1000", "2000"], [given, given], quality, resample="prompts", draws=5, seed=0)
    assert [point.values["x"] for point in points] == [1.0, 3.0]


def with_and_without(*, seeds: bool) -> dict[str, Cells]:
    """Equal columns of opposite checkpoints; y lacks some pictures, of a prompt where all are 0."""
    noise = np.random.default_rng(0).normal(size=(8, 4))
    rows: list[tuple[object, ...]] = [
        (name, prompt, sign * noise[prompt, k] if prompt else 0.0, k)
        for prompt in range(8)
        for name, sign in (("a", 1), ("b", -1))
        for k in range(4)
    ]
    lacking = [(*r[:2], math.nan, r[3]) if k in {0, 4, 5} else r for k, r in enumerate(rows)]
    ends = 4 if seeds else 3
    return {n: cells([row[:ends] for row in said]) for n, said in (("x", rows), ("y", lacking))}


@pytest.mark.parametrize("seeds", [True, False])
@pytest.mark.parametrize("resample", ["seeds", "both"])
def test_pictures_without_a_score_are_redrawn_as_the_others_are(
    resample: str,
    seeds: bool,
) -> None:
    columns = with_and_without(seeds=seeds)
    x, y = (redrawn(columns[n], resample, 50, 0, of_all=True).mean for n in ("x", "y"))
    np.testing.assert_allclose(x, y, atol=1e-12)
    assert x.std() > 0.1


def test_a_column_that_lacks_pictures_is_still_redrawn_with_the_others() -> None:
    """Who is before in x is before in y, so that one of the two is on the front in each draw."""
    columns = with_and_without(seeds=True)
    objectives = [Objective(name=name, column=name) for name in columns]
    points = front("ab", objectives, columns.__getitem__, resample="seeds", draws=200, seed=0)
    a, b = (point.frequency for point in points)
    assert a + b == pytest.approx(1.0)
    assert 0.02 < a < 0.98
