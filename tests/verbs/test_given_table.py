"""A folder that is not there is told from one that holds no scores."""

from pathlib import Path

import pytest

from beholder._verbs.given_table import given_table
from beholder.errors import DataError
from tests.sharded_runs import rows, write_run


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = str(write_run(tmp_path / "run", {"s-0": rows("ab")}).folder)
    assert len(given_table(run)) == 2
    assert given_table(run, [run])._also[0].address == run
    for asked in ((str(tmp_path / "nosuch"), []), (run, [str(tmp_path / "nosuch")])):
        with pytest.raises(DataError, match=r"nosuch does not exist; expected a score table"):
            given_table(*asked)
    with pytest.raises(DataError, match="holds no score table"):
        _ = given_table(str(tmp_path)).columns
