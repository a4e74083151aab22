from pathlib import Path

from beholder.training._rendering.tries import Tries


def test_what_was_tried_is_known_to_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tries.jsonl"
    tries = Tries(path)
    tries.drawn("a", 1.5)
    tries.failed("b", "too large")
    again = Tries(path)
    assert (again.seconds, again.errors) == ({"a": 1.5}, {"b": "too large"})


def test_the_last_try_counts(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "tries.jsonl")
    tries.failed("a", "out of memory")
    tries.drawn("a", 2.0)
    for known in (tries, Tries(tries.path)):
        assert (known.seconds, known.errors) == ({"a": 2.0}, {})


def test_half_a_line_of_a_process_that_died_is_no_try(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "tries.jsonl")
    tries.drawn("a", 1.0)
    tries.drawn("b", 2.0)
    tries.path.write_text(tries.path.read_text()[:-9])
    assert Tries(tries.path).seconds == {"a": 1.0}
