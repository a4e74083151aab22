import numpy as np
import pytest

from beholder.eval._ranking import strength as module
from beholder.eval._ranking.strength import bradley_terry, islands


def test_many_counts_are_solved_as_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    wins = np.random.default_rng(0).integers(1, 9, (7, 3, 3)).astype(np.float64)
    met = ~np.eye(3, dtype=bool)
    wins[:, ~met] = 0
    monkeypatch.setattr(module, "_CELLS", 18)  # two at a time
    together = bradley_terry(wins, met)
    np.testing.assert_allclose(together, [bradley_terry(one, met) for one in wins], atol=1e-8)


def test_islands_are_who_cannot_be_reached() -> None:
    met = np.zeros((4, 4), dtype=bool)
    met[0, 1] = met[1, 0] = met[2, 3] = met[3, 2] = True
    assert islands(met, "abcd") == ["c", "d"]
    met[1, 2] = met[2, 1] = True
    assert islands(met, "abcd") == []
