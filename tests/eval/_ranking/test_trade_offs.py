import numpy as np
import pytest

from beholder.errors import ConfigError
from beholder.eval._ranking.cells import Cells
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
