"""Runs of which shards are missing, as a verb that has read them leaves."""

from pathlib import Path

import pytest

from beholder._terminal import OK, SOME_ROWS_FAILED
from beholder._verbs.unfinished import tell_unfinished
from beholder.tables import ScoreTable
from tests.sharded_runs import rows, write_run


def test_a_run_that_lacks_shards_is_a_line_and_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "half", {"one": rows("ab"), "two": None, "three": None})
    write_run(tmp_path / "whole", {"one": rows("ab", "hps")}, ["hps"])
    assert tell_unfinished(ScoreTable(tmp_path / "whole")) == OK
    assert capsys.readouterr() == ("", "")
    assert tell_unfinished(ScoreTable(tmp_path / "half")) == SOME_ROWS_FAILED
    said = capsys.readouterr()
    assert said.out == ""
    last = said.err.splitlines()[-1]  # an earlier verb may have switched the log on
    assert last.startswith(f"2 of 3 shards of {tmp_path / 'half'} are not in this result")
    assert said.err.count("are not in this result") == 1
    beside = ScoreTable(tmp_path / "whole", [tmp_path / "half"])
    assert tell_unfinished(beside) == SOME_ROWS_FAILED


def test_shards_that_appear_after_the_reading_do_not_make_it_whole(tmp_path: Path) -> None:
    table = write_run(tmp_path / "run", {"one": rows("ab"), "two": None})
    assert len(table.read()) == 2
    write_run(tmp_path / "run", {"one": rows("ab"), "two": rows("cd")})
    assert tell_unfinished(table) == SOME_ROWS_FAILED
    assert tell_unfinished(ScoreTable(tmp_path / "run")) == OK


def test_a_table_that_grew_row_by_row_is_whole(tmp_path: Path) -> None:
    with ScoreTable(tmp_path / "scores").writing():
        pass
    assert tell_unfinished(ScoreTable(tmp_path / "scores")) == OK
