"""The verb filter, from a command line to a folder."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beholder._verbs.filter import rows_of
from beholder.errors import ConfigError
from tests.sharded_runs import rows, write_run
from tests.shell import Shell


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shards = {"s-0": rows("abcd", source=["x", "x", "x", "y"]), "s-1": rows("ef", source=["y"] * 2)}
    return write_run(tmp_path / "run", shards).folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2M", 2_000_000),
        ("500k", 500_000),
        ("1.5B", 1_500_000_000),
        ("0.1m", 100_000),
        ("12_000", 12_000),
    ],
)
def test_a_budget_is_written_short(text: str, expected: int) -> None:
    assert rows_of(text) == expected


@pytest.mark.parametrize("text", ["", "0", "1.5", "-2", "2T", "1e6", "0.0001k"])
def test_a_budget_that_is_no_number_of_rows_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 2M, 500k or 1234"):
        rows_of(text)


def test_a_budget_is_shared_and_the_command_stands_on_the_card(
    run: Path, tmp_path: Path, shell: Shell
) -> None:
    asked = ["--where", "percentile(mps.total) > 0.2", "--budget", "4", "--stratify", "source"]
    summary = shell.json("filter", run, *asked, "--shares", "equal", "-o", tmp_path / "kept")
    assert (summary["kept"], summary["dropped"]) == (4, 2)
    kept = pq.read_table(tmp_path / "kept" / "kept.parquet")
    assert kept["key"].to_pylist() == ["b", "c", "e", "f"]
    page = (tmp_path / "kept" / "card.html").read_text()
    assert "--budget 4 --stratify source --shares equal" in page


def test_a_dry_run_counts_and_writes_nothing(run: Path, tmp_path: Path, shell: Shell) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert shell("filter", run, "--where", "mps.total > 2", "--dry-run") == 0
    assert shell.out.startswith("dry run, nothing written: 4 of 6 rows kept, 2 dropped\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_scores_of_another_folder_rank_together(run: Path, tmp_path: Path, shell: Shell) -> None:
    part = rows("fedcba", "hps")
    write_run(tmp_path / "more", {"t-0": part}, ["hps"])
    asked = ["--with", tmp_path / "more", "--score", "zscore(mps.total) - 2 * zscore(hps.total)"]
    out = tmp_path / "kept"
    shell.json("filter", run, *asked, "--top", "2", "-o", out, "--no-card", "--no-jsonl")
    kept = pq.read_table(out / "kept.parquet")
    assert kept["key"].to_pylist() == ["a", "b"]
    assert kept["hps.total"].to_pylist() == [1, 2]
    assert sorted(path.name for path in out.iterdir()) == [
        "dropped.parquet", "kept.parquet", "summary.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--where", "mps.total > 1"], "give a folder by --out"),
        (["--budget", "many", "-o", "x"], "got 'many'"),
        (["--where", "zscore(mps.totl) > 1", "-o", "x"], "did you mean 'mps.total'"),
        (["--where", "median(mps.total) > 1", "-o", "x"], "its functions are"),
        (["--dedup", "2", "-o", "x"], "a cosine in (0, 1]"),
        (["--embedder", "eyes", "--dedup", "0.9", "-o", "x"], "no embedder 'eyes'"),
        (["--with", "nowhere", "-o", "x"], "nowhere holds no score table"),
    ],
)
def test_what_does_not_fit_is_one_line(
    words: list[str], says: str, run: Path, shell: Shell, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert shell("filter", run, *words) in (1, 2)
    assert says in shell.err
    assert shell.err.count("\n") == 1
    assert not (tmp_path / "x").exists()
