"""The verb filter, from a command line to a folder."""

from dataclasses import replace
from hashlib import sha256
from html import unescape
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from beholder._verbs.filter import rows_of
from beholder.calibration import Curve, Owner
from beholder.errors import ConfigError
from beholder.eval.embedding import Embeddings, write_embeddings
from tests.calibrations import calibration
from tests.sharded_runs import CONFIG, rows, write_run
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


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A run of a picture, a better copy of it, and another picture."""
    table = rows("abc")
    for key, seed in zip("abc", (1, 1, 2), strict=True):
        picture(tmp_path / f"{key}.png", seed)
    images = pa.array([str(tmp_path / f"{key}.png") for key in "abc"])
    shard = table.set_column(1, "image", images)
    return write_run(tmp_path / "copies", {"s-0": shard}).folder


def picture(path: Path, seed: int) -> None:
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(path)


def test_the_only_reward_says_which_copy_is_best(
    copies: Path, tmp_path: Path, shell: Shell
) -> None:
    assert shell("filter", copies, "--dedup", "0.95", "-o", tmp_path / "kept") == 0
    assert shell.out.splitlines()[1:] == [
        "  1 near duplicate",
        "embedded by: thumbprint",
        "near-duplicate from a cosine of: 0.95",
        "pairs compared: every pair (exact)",
    ]
    assert shell.err == ""
    assert pq.read_table(tmp_path / "kept/kept.parquet")["key"].to_pylist() == ["b", "c"]


def test_of_several_rewards_none_is_guessed_and_a_note_says_so(
    copies: Path, tmp_path: Path, shell: Shell
) -> None:
    write_run(tmp_path / "more", {"t-0": rows("abc", "hps")}, ["hps"])
    asked = ["--with", tmp_path / "more", "--dedup", "0.95", "--no-card"]
    assert shell("filter", copies, *asked, "-o", tmp_path / "1") == 0
    assert "--score; without it the earliest of near-duplicates is kept" in shell.err
    assert pq.read_table(tmp_path / "1/kept.parquet")["key"].to_pylist() == ["a", "c"]
    assert shell("filter", copies, *asked, "--score", "hps.total", "-o", tmp_path / "2") == 0
    assert shell.err == ""
    assert pq.read_table(tmp_path / "2/kept.parquet")["key"].to_pylist() == ["b", "c"]


def test_all_that_repeats_a_run_is_on_the_card_and_in_the_summary(
    copies: Path, tmp_path: Path, shell: Shell
) -> None:
    owner = Owner(reward="mps", options=CONFIG["options"], weights="ab")  # type: ignore[arg-type]
    found = replace(calibration(Curve(), (-1.0, 0.0, 1.0)), owner=owner)
    (tmp_path / "c.json").write_text(found.to_json())
    picture(tmp_path / "eval" / "x.png", 2)
    (tmp_path / "eval" / "bad.png").write_bytes(b"")
    values = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    write_embeddings(Embeddings(tuple("abc"), values, name="mine"), tmp_path / "e.npz")
    given = ["--calibration", f"mps={tmp_path / 'c.json'}", "--where", "mps.win > 0"]
    told = {}
    for name, asked in (
        ("file", ["--dedup", "0.9", "--embeddings", tmp_path / "e.npz"]),
        ("set", ["--against", tmp_path / "eval"]),
    ):
        out = tmp_path / name
        told[name] = shell.json("filter", copies, *given, *asked, "-o", out)
        assert f"--calibration mps={tmp_path / 'c.json'} --where" in unescape(
            (out / "card.html").read_text()
        )
        assert told[name]["calibrations"] == {"mps": sha256(found.to_json().encode()).hexdigest()}
    assert told["file"]["likeness"] == {
        "embedder": "mine", "embeddings": "e.npz", "dedup": 0.9, "method": "exact",
        "embeddings_sha256": sha256((tmp_path / "e.npz").read_bytes()).hexdigest(),
    }  # fmt: skip
    likeness = dict(told["set"]["likeness"])  # type: ignore[call-overload]
    assert likeness.pop("evaluation_errors")[0].startswith("bad.png: empty: ")
    assert likeness == {
        "embedder": "thumbprint", "against": str(tmp_path / "eval"), "against_threshold": 0.95,
        "evaluation_pictures": 1, "evaluation_pictures_failed": 1,
    }  # fmt: skip
    page = unescape((tmp_path / "set/card.html").read_text())
    for said in ("calibration of mps", "evaluation pictures that cannot be read", "bad.png: empty"):
        assert said in page


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--embeddings", "e.npz"], "--embeddings is read with --dedup or --against only"),
        (["--embedder", "thumbprint"], "--embedder is read with --dedup or --against only"),
        (["--embedder-weights", "w"], "--embedder-weights is read with --dedup or --against"),
        (["--device", "cpu"], "--device is read with --dedup or --against only"),
        (["--dedup", "0.9", "--embeddings", "e", "--embedder", "clip"], "not both"),
        (["--dedup", "0.9", "--embeddings", "e", "--device", "cuda"], "--embeddings has them"),
        (["--shares", "equal", "--budget", "2"], "--shares is read with --stratify only"),
        (["--samples-per-tar", "9"], "--samples-per-tar is read with --pictures webdataset"),
        (["--samples-per-tar", "9", "--pictures", "link"], "read with --pictures webdataset"),
        (["--dedup", "0.9", "--against-threshold", "0.9"], "--against-threshold is read with"),
    ],
)
def test_an_option_that_nothing_reads_is_refused(
    words: list[str], says: str, run: Path, shell: Shell
) -> None:
    assert shell("filter", run, *words, "--dry-run") == 2
    assert says in shell.err
    assert shell.err.count("\n") == 1


def test_an_empty_folder_is_filled_even_if_it_is_the_current_one(
    run: Path, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = (tmp_path / "here").stat().st_ino
    assert shell("filter", run, "--where", "mps.total > 2", "-o", ".") == 0
    assert (tmp_path / "here").stat().st_ino == before
    assert sorted(path.name for path in Path.cwd().iterdir()) == [
        "card.html", "dropped.jsonl", "dropped.parquet", "kept.jsonl", "kept.parquet",
        "summary.json",
    ]  # fmt: skip


def test_counts_go_to_a_dashboard_that_is_asked_for_before_any_work(
    run: Path, tmp_path: Path, shell: Shell
) -> None:
    out = tmp_path / "kept"
    assert shell("filter", run, "--log", "nowhere:x", "-o", out) == 2
    assert "no dashboard at 'nowhere:x'" in shell.err
    assert not out.exists()
    assert shell("filter", run, "--log", f"tensorboard:{tmp_path / 'log'}", "-o", out) == 0
    assert list((tmp_path / "log").glob("events.*"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--where", "mps.total > 1"], "give a folder by --out"),
        (["-o", "s3://bucket/kept"], "s3://bucket/kept is not on this disk"),
        (["--budget", "many", "-o", "x"], "got 'many'"),
        (["--where", "zscore(mps.totl) > 1", "-o", "x"], "did you mean 'mps.total'"),
        (["--where", "median(mps.total) > 1", "-o", "x"], "its functions are"),
        (["--dedup", "2", "-o", "x"], "a cosine in (0, 1]"),
        (["--embedder", "eyes", "--dedup", "0.9", "-o", "x"], "no embedder 'eyes'"),
        (["--with", "nowhere", "-o", "x"], "nowhere does not exist"),
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


def test_a_run_that_has_not_ended_is_filtered_and_leaves_with_3(
    tmp_path: Path, shell: Shell
) -> None:
    half = write_run(tmp_path / "half", {"s-0": rows("ab"), "s-1": None}).folder
    assert shell("filter", half, "--where", "mps.total > 1", "-o", tmp_path / "kept") == 3
    assert shell.out.splitlines()[0].endswith("1 of 2 rows kept, 1 dropped")
    assert "go on with the run's `beholder score`" in shell.err
    assert (tmp_path / "kept" / "kept.parquet").exists()


def test_a_mistaken_rule_says_what_to_write(run: Path, shell: Shell) -> None:
    for rule, said in (
        ("source = 'x'", "write == to compare"),
        ("mps.total > 1/0", "divides by zero"),
        ("source == x", "a text stands in quotes: source == 'x'"),
        ("source != 1", "source holds texts such as 'x', which is no number"),
    ):
        assert shell("filter", run, "--where", rule, "--dry-run") == 2
        assert said in shell.err


def test_what_keeps_nothing_and_what_is_not_there_are_said(run: Path, shell: Shell) -> None:
    assert shell("filter", run, "--where", "source == 'nobody'", "--dry-run") == 0
    assert "all 6 rows are dropped for: not source == 'nobody'" in shell.err
    assert shell("filter", "nosuch", "--dry-run") == 1
    assert "nosuch does not exist" in shell.err
