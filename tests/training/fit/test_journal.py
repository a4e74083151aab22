import math
import time
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from beholder.training.fit.journal import Journal, read_journal


def write(folder: Path, after: int, steps: range) -> None:
    journal = Journal(folder, after)
    for step in steps:
        journal.write(step, {"train/loss": 1 / step})
    journal.close()


def test_numbers_come_back_by_step(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 4))
    rows = read_journal(tmp_path / "metrics.jsonl")
    assert rows == [{"step": k, "train/loss": 1 / k} for k in (1, 2, 3)]


def test_what_comes_after_the_step_that_counts_is_forgotten(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 6))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "train/lo')  # killed while writing
    time.sleep(1.1)  # TensorBoard reads its files by the second they began in
    write(tmp_path, 3, range(4, 8))
    assert [r["step"] for r in read_journal(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6, 7]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6, 7]


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    journal.write(1, {"train/gradient_norm": math.inf})
    journal.close()
    assert read_journal(tmp_path / "metrics.jsonl") == [{"step": 1, "train/gradient_norm": None}]


def test_a_journal_never_written_is_empty(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "metrics.jsonl") == []
