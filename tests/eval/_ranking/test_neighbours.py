import numpy as np
import pytest

from beholder.errors import ConfigError
from beholder.eval._ranking.neighbours import certainty_fault, neighbours_needed
from beholder.eval.power import Certainty, prompts_needed
from beholder.eval.ranking import rank
from tests.eval._ranking.samples import cells, columns

# a beats b on three of four prompts and c on all; b beats c on three of four
SCORES = {"a": (5.0, 5.0, 5.0, 2.0), "b": (3.0, 3.0, 3.0, 3.0), "c": (1.0, 1.0, 4.0, 1.0)}
ROWS = [(name, p, s) for name, scores in SCORES.items() for p, s in enumerate(scores)]
SPREAD = np.std([0.5, 0.5, 0.5, -0.5], ddof=1)


def test_neighbours_need_the_prompts_of_their_win_shares() -> None:
    ranking = rank(columns(ROWS), score="s", draws=50)
    found = neighbours_needed(ranking, cells(ROWS), 0.9)
    assert [(n.first, n.second) for n in found] == [("a", "b"), ("b", "c")]
    sure = Certainty(alpha=0.05 / 3, power=0.9)  # three pairs in all
    for each in found:
        assert each.difference == pytest.approx(0.25)
        assert each.deviation == pytest.approx(SPREAD)
        assert each.needed == prompts_needed(0.25, float(SPREAD), sure)
        assert each.prompts == 4
        assert each.of == "win share of s"


def test_names_in_another_order_need_the_same() -> None:
    other = [("z" if name == "a" else name, p, s) for name, p, s in ROWS]
    ranking = rank(columns(other), score="s", draws=50)
    found = neighbours_needed(ranking, cells(other), 0.9)
    assert [(n.first, n.second) for n in found] == [("z", "b"), ("b", "c")]
    assert [n.difference for n in found] == pytest.approx([0.25, 0.25])


def test_odd_certainties_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"certainty is 0\.01"):
        neighbours_needed(rank(columns(ROWS), score="s", draws=5), cells(ROWS), 0.01)
    assert certainty_fault(90, 0.05) == (
        "certainty is 90; give a probability between alpha (0.05) and 1, such as 0.9"
    )
    assert certainty_fault(0.9, 0.95) == (
        "certainty is 0.9; give a probability between alpha (0.95) and 1, such as 0.975"
    )
    assert certainty_fault(0.9, 0.05) is certainty_fault(None, 0.05) is None
