"""Statistics are those of numpy and scipy, over all rows with a value, in each group."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from beholder.errors import ConfigError
from beholder.eval._filter.statistics import Floats, Groups, Statistic, measured
from tests.eval.filtered import HeldRows

RNG = np.random.default_rng(3)
COUNT = 500
VALUES = np.where(RNG.random(COUNT) < 0.1, np.nan, RNG.normal(size=COUNT).round(1))
VALUES[:2] = np.inf, -np.inf
MODELS = [None if k % 17 == 0 else "abc"[k % 3] for k in range(COUNT)]
TABLE = pa.table({"x": pa.array(VALUES), "model": MODELS})


def answer(statistic: Statistic, part: int = 64) -> Floats:
    known = measured(HeldRows(TABLE, part), [statistic])
    x = (
        np.zeros(COUNT)
        if statistic.kind == "quantile"
        else np.where(np.isfinite(VALUES), VALUES, np.nan)
    )
    numbers, divides = known.at(statistic, np.arange(COUNT), x)
    assert not divides.any()
    return np.asarray(numbers)


@pytest.mark.parametrize("level", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_quantiles_are_numpys(level: float) -> None:
    expected = np.quantile(VALUES[np.isfinite(VALUES)], level)
    assert answer(Statistic("quantile", "x", level=level)) == pytest.approx(expected, abs=1e-15)


def test_scores_are_scipys() -> None:
    given = np.isfinite(VALUES)
    z = answer(Statistic("zscore", "x"))
    assert z[given] == pytest.approx(stats.zscore(VALUES[given]), abs=1e-12)
    assert np.isnan(z[~given]).all()
    ranks = answer(Statistic("percentile", "x"))
    mean_ranks = stats.rankdata(VALUES[given]) / given.sum()
    assert ranks[given] == pytest.approx(mean_ranks, abs=1e-15)
    robust = answer(Statistic("robust", "x"))
    middle = (VALUES[given] - np.median(VALUES[given])) / stats.iqr(VALUES[given])
    assert robust[given] == pytest.approx(middle, abs=1e-12)
    spread = answer(Statistic("minmax", "x"))[given]
    assert (spread.min(), spread.max()) == (0, 1)


@pytest.mark.parametrize("kind", ["zscore", "percentile", "minmax", "robust", "quantile"])
def test_within_groups_it_is_the_statistic_of_each_group_alone(kind: str) -> None:
    found = answer(Statistic(kind, "x", "model", 0.3))  # type: ignore[arg-type]
    for name in "abc":
        rows = np.array([model == name for model in MODELS])
        alone = pa.table({"x": pa.array(VALUES[rows])})
        asked = Statistic(kind, "x", "", 0.3)  # type: ignore[arg-type]
        known = measured(HeldRows(alone), [asked])
        x = np.zeros(rows.sum()) if kind == "quantile" else VALUES[rows]
        expected, _ = known.at(asked, np.arange(rows.sum()), x)
        given = np.isfinite(VALUES[rows])
        assert found[rows][given] == pytest.approx(np.asarray(expected)[given], abs=1e-12)


def test_how_the_table_is_cut_into_parts_changes_no_bit() -> None:
    for kind in ("zscore", "percentile", "robust"):
        asked = Statistic(kind, "x", "model")
        pieces = [answer(asked, part).tobytes() for part in (1, 7, COUNT)]
        assert len(set(pieces)) == 1


@pytest.mark.parametrize("kind", ["zscore", "minmax", "robust"])
def test_equal_values_divide_by_zero(kind: str) -> None:
    table = pa.table({"x": [0.1] * 3 + [0.3, 0.4, 0.7, 0.9], "m": ["a"] * 3 + ["b"] * 4})
    asked = Statistic(kind, "x", "m")  # type: ignore[arg-type]
    x = table["x"].to_numpy()
    _, divides = measured(HeldRows(table), [asked]).at(asked, np.arange(7), x)
    assert divides.tolist() == [True] * 3 + [False] * 4


def test_a_column_without_numbers_has_no_statistics() -> None:
    asked = Statistic("zscore", "m")
    with pytest.raises(ConfigError, match="cannot compute with the text 'a' of m"):
        measured(HeldRows(pa.table({"m": [None, "a"]})), [asked])
    empty = HeldRows(pa.table({"m": pa.array([None, None], pa.string())}))
    assert measured(empty, [Statistic("quantile", "m")]).levels() == {}


def test_quantiles_over_all_rows_are_known_for_a_plot() -> None:
    asked = Statistic("quantile", "x", level=0.5)
    grouped = Statistic("quantile", "x", "model", 0.5)
    known = measured(HeldRows(TABLE), [asked, grouped, Statistic("zscore", "x")])
    assert known.levels() == {asked: np.median(VALUES[np.isfinite(VALUES)])}


def test_groups_are_numbered_as_they_come_and_absent_values_have_none() -> None:
    groups = Groups()
    for part in ([None, "b", "a"], ["c", "b", None], []):
        groups.add(pa.chunked_array([pa.array(part, pa.string())]))
    assert groups.codes().tolist() == [-1, 0, 1, 2, 0, -1]
    assert groups.values == {"b": 0, "a": 1, "c": 2}
    numbers = Groups()
    numbers.add(pa.chunked_array([pa.array([1.5, float("nan"), 1.5])]))
    assert numbers.codes().tolist() == [0, -1, 0]


def test_integers_beyond_those_of_float64_have_statistics() -> None:
    table = pa.table({"seed": pa.array([2**53 + 1, 2**62 + 1], pa.int64())})
    asked = Statistic("minmax", "seed")
    found, _ = measured(HeldRows(table), [asked]).at(
        asked, np.arange(2), np.array([2.0**53, 2.0**62])
    )
    assert found.tolist() == [0, 1]


def test_long_texts_are_grouped_without_being_kept() -> None:
    prompts = ["a long prompt about a fox", "a long prompt about a fix", "short"]
    groups, named = Groups(), Groups(named=True)
    for numbered in (groups, named):
        numbered.add(pa.chunked_array([prompts, prompts[::-1]]))
        assert numbered.codes().tolist() == [0, 1, 2, 2, 1, 0]
    assert [len(value) for value in groups.values] == [16, 16, 5]
    assert list(named.values) == prompts
