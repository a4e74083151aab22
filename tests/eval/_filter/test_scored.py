"""Win probabilities are columns like any other, in every part."""

from pathlib import Path

import numpy as np
import pytest

from beholder.calibration import Curve
from beholder.errors import ConfigError
from beholder.eval._filter.rule import Rule
from beholder.eval._filter.scored import ScoredRows
from tests.calibrations import calibration
from tests.sharded_runs import rows, write_run

FOUND = calibration(Curve(temperature=0.5), (-1.0, 0.0, 1.0))


def test_columns_that_are_made_come_with_the_parts_that_are_asked(tmp_path: Path) -> None:
    table = write_run(tmp_path, {"s-0": rows("ab"), "s-1": rows("c")})
    scored = ScoredRows(table, {"mps": FOUND})
    assert scored.columns == [*table.columns, "mps.win"]
    parts = list(scored.parts(["mps.win", "key"]))
    assert [part.column_names for part in parts] == [["mps.win", "key"]] * 2
    wins = [win for part in parts for win in part["mps.win"].to_pylist()]
    expected = FOUND.scores["total"].win_probability(np.array([1.0, 2.0, 3.0]))
    assert wins == pytest.approx(expected)
    assert next(scored.parts()).column_names == scored.columns


def test_a_column_that_cannot_be_made_says_what_it_needs(tmp_path: Path) -> None:
    scored = ScoredRows(write_run(tmp_path, {"s-0": rows("a")}), {})
    scored.check(["key", "mps.total"])
    with pytest.raises(ConfigError, match="without a calibration of mps"):
        scored.check(["mps.win"])
    with pytest.raises(ConfigError, match=r"did you mean 'mps\.total'"):
        scored.check(["mps.totl"])


def test_only_calibrations_that_are_asked_count_as_used(tmp_path: Path) -> None:
    scored = ScoredRows(write_run(tmp_path, {"s-0": rows("a")}), {"mps": FOUND})
    assert scored.used(["key", "mps.total"]) == {}
    assert scored.used(["mps.win"]) == {"mps": FOUND}


def test_an_unknown_name_that_is_equated_with_a_column_may_be_an_unquoted_text(
    tmp_path: Path,
) -> None:
    scored = ScoredRows(write_run(tmp_path, {"s-0": rows("a")}), {})
    asked = Rule(where="key == animals or wrong == other").asked([])
    assert asked.equated["animals"] == "key"
    with pytest.raises(ConfigError, match="a text stands in quotes: key == 'animals'"):
        scored.check(["animals"], asked.equated)
    for name in ("wrong", "elsewhere"):
        with pytest.raises(ConfigError) as caught:
            scored.check([name], asked.equated)
        assert "quotes" not in str(caught.value)
