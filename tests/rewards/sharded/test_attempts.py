"""What was begun too often is given up, and nothing that was finished is remembered."""

import json
from pathlib import Path

import pytest

from beholder._run_folder import RunFolder
from beholder.errors import DataError
from beholder.rewards.sharded import attempts
from beholder.storage import Place


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(Place(tmp_path))


def test_attempts_are_counted_across_processes_and_forgotten_at_the_end(folder: RunFolder) -> None:
    again = RunFolder(Place(folder.place.address))
    assert [attempts.begin(f, "a") for f in (folder, again, folder)] == [1, 2, 3]
    assert attempts.count(folder, "a") == 3
    attempts.clear(folder, "a")
    assert attempts.begin(folder, "a") == 1


def test_an_attempt_that_was_taken_back_does_not_count(folder: RunFolder) -> None:
    attempts.begin(folder, "a")
    attempts.begin(folder, "a")
    attempts.withdraw_all(folder, ["a", "b"])
    assert attempts.known(folder) == {"a": attempts.Attempts(1)}
    attempts.withdraw(folder, "a")
    assert attempts.known(folder) == {}


def test_only_what_was_given_up_is_listed_as_failed(folder: RunFolder) -> None:
    for _ in range(3):
        attempts.begin(folder, "b")
    attempts.begin(folder, "a")
    assert attempts.lost(folder) == {}
    assert attempts.give_up(folder, "b", "cut off") == "cut off (attempt 3)"
    attempts.write_failed(folder)
    assert json.loads(folder.failed_file().read()) == {"b": "cut off (attempt 3)"}
    attempts.clear(folder, "b")
    attempts.write_failed(folder)
    assert not folder.failed_file().exists()


def test_a_reason_outlives_the_next_attempt(folder: RunFolder) -> None:
    attempts.begin(folder, "a")
    attempts.explain(folder, "a", "its worker was killed")
    attempts.begin(folder, "a")
    assert attempts.known(folder)["a"] == attempts.Attempts(2, "its worker was killed")


def test_a_damaged_count_is_named(folder: RunFolder) -> None:
    (folder.attempts() / "a.json").write(b"{")
    with pytest.raises(DataError, match=r"a\.json is damaged"):
        attempts.count(folder, "a")
