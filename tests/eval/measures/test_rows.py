"""Values find their rows, and intervals end where figures can."""

import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval._features import Features
from beholder.eval._jackknife import Jackknife
from beholder.eval.kernel import cmmd
from beholder.eval.measures._base import Need, Side
from beholder.eval.measures._rows import by_key, ends_of, inception, jackknife_of, present
from tests.eval.measures.sides import origin_of


def test_values_are_found_by_key_and_unknown_ones_are_not_there() -> None:
    origin = origin_of(Need(extractor="inception"))
    named = Features(np.zeros((3, 2)), origin, ("a", "b", "c"))
    assert by_key(named, np.array([0.5, np.nan, 2])) == {"a": 0.5, "c": 2}
    assert by_key(Features(np.zeros((3, 2)), origin), np.ones(3)) == {}


def test_an_interval_is_cut_off_where_no_figure_can_be() -> None:
    found = ends_of(Jackknife(0.1, 0.5, -0.2, 0.8), "of 4 groups", least=0)
    assert (found.low, found.high, found.interval) == (0, 0.8, "of 4 groups")
    assert found.details == {"standard_error": 0.5, "bias": 0.1}
    assert ends_of(None, "4 groups").low is None
    assert ends_of(None, "4 groups").interval == ""


def test_a_metric_that_compares_says_that_it_needs_a_real_side() -> None:
    side = Side(name="photos")
    assert present(side, "kid") is side
    with pytest.raises(DataError, match=r"kid compares with real pictures, but none were given"):
        present(None, "kid")


def test_metrics_of_one_layer_and_resize_share_their_features() -> None:
    assert inception("2048", "tf1") == inception("2048", "tf1")
    assert inception("2048", "clean").settings == (("resize", "clean"),)


def test_the_jackknife_of_a_discrepancy_names_the_groups_that_there_were() -> None:
    found = cmmd(np.eye(12), np.eye(12)[:4], groups=5)
    assert jackknife_of(found) == (
        "jackknife over 5 groups of the real side and 4 groups of the fake side"
    )
