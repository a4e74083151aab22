import warnings
from argparse import Namespace
from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks import statistics
from benchmarks._peers_place import peer_module
from benchmarks._record import Missing, Row
from benchmarks._statistics_cases import CASES, Case, _pairs, _wins


def test_what_neither_environment_has_is_none() -> None:
    assert peer_module("a_package_that_nobody_has") is None
    assert peer_module("numpy") is np


def test_a_case_becomes_a_ratio_or_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def cases(_: float) -> Iterator[Case]:
        for against, theirs in (("numpy", lambda: 1.25), ("nobody", None)):
            yield Case(
                what="a sum", against=against, package="numpy", ours=lambda: 1.0, theirs=theirs
            )

    monkeypatch.setitem(CASES, "sums", cases)
    clock = iter(range(100))
    monkeypatch.setattr(
        statistics, "interleaved", lambda sides, _: {name: [next(clock) + 1.0] for name in sides}
    )
    row, missing = statistics.compared("sums", Namespace(size=1.0, rounds=1))
    assert isinstance(row, Row)
    assert row.ratio.median == 2  # theirs took 2, ours 1
    assert row.agreement == "largest difference 0.2"
    assert missing == Missing(
        area="statistics", what="a sum, nobody", reason="not installed: make peers"
    )


def test_both_forms_of_wins_hold_the_same_games() -> None:
    wins = _wins(models=4, games=60, draws=2)
    assert (wins.sum((1, 2)) == 60).all()
    assert np.diagonal(wins, axis1=1, axis2=2).sum() == 0
    again = np.zeros((4, 4))
    np.add.at(again, tuple(np.array(_pairs(wins[0])).T), 1)
    assert (again == wins[0]).all()


@pytest.mark.parametrize("name", ["bootstrap", "strengths", "alpha", "dawid_skene"])
def test_beholder_agrees_with_the_package_where_it_is_installed(name: str) -> None:
    found = [case for case in CASES[name](0.05) if case.theirs is not None]
    if not found:
        pytest.skip("not installed: make peers")
    exact = [case for case in found if "interval" not in case.what and "opt" not in case.against]
    warnings.simplefilter("ignore")  # a package's own
    for case in exact:
        assert case.theirs is not None
        assert case.apart(case.ours(), case.theirs()) < 1e-6
