"""One run of all benchmarks: each by itself, failures told, regressions in the exit code."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import _profiles
from benchmarks._options import ROOT
from benchmarks._record import Missing, Row, Spread
from benchmarks._results import Ran, Results
from tests.benchmarks.test_results import ROW, ran, results

FAST = replace(ROW, ratio=Spread(4.0, 3.9, 4.1))


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`benchmarks.stub`, a file to be written, is the only benchmark; results go to `kept`."""
    import benchmarks

    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setattr(benchmarks, "__path__", [*benchmarks.__path__, str(folder)])
    monkeypatch.setattr(bench, "PROFILES", {"quick": {"stub": ("--size", "small")}})
    return folder / "stub.py"


def ran_as(stub: Path, monkeypatch: pytest.MonkeyPatch, program: str, patience: float) -> Ran:
    """What is told of a benchmark whose process runs this program."""
    stub.write_text("")
    real = subprocess.Popen

    def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        assert command[1:3] == ["-m", "benchmarks.stub"]
        return real([sys.executable, "-S", "-c", program, *command[3:]], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(bench, "PATIENCE", {"quick": patience})
    return bench.run("stub", "quick", stub.parent)


def test_a_benchmark_that_fails_is_told_with_its_last_words(
    stub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; print('at work'); sys.exit('no such peer')"
    assert ran_as(stub, monkeypatch, program, 60).failure == "exit code 1: no such peer"
    assert "at work" in (stub.parent / "stub.log").read_text()


def test_a_benchmark_that_hangs_is_ended(stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import time; time.sleep(1000)"
    failure = ran_as(stub, monkeypatch, program, 0.5).failure
    assert failure == "it had not ended after 0 minutes"


def test_a_benchmark_is_given_its_arguments_and_keeps_what_it_found(
    stub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import json, sys; size, small, record, file = sys.argv[1:]; assert small == 'small'; "
        "open(file, 'w').write(json.dumps({'area': 'a', 'what': 'b', 'reason': 'c'}) + '\\n')"
    )
    found = ran_as(stub, monkeypatch, program, 60)
    assert (found.failure, found.arguments) == ("", ["--size", "small"])
    assert found.rows == [Missing(area="a", what="b", reason="c")]


def test_a_benchmark_that_is_not_there_is_told(tmp_path: Path) -> None:
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patched:
        patched.setattr(bench, "PROFILES", {"quick": {"nothing": ()}})
        assert bench.run("nothing", "quick", tmp_path).failure == "there is no benchmarks.nothing"


def leaves(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    row: Row,
    before: Results | None,
    *options: str,
    failure: str = "",
) -> int:
    """The exit code of a run that found this row, beside what was kept before."""
    command = ["benchmarks", "--only", "scoring", "--results", str(folder), *options]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(bench, "run", lambda *_: ran(row, failure=failure))
    monkeypatch.setattr(bench, "committed", lambda *_: before)
    return bench.main()


def test_a_regression_leaves_with_one_unless_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leaves(monkeypatch, tmp_path, ROW, None) == 0
    (file,) = tmp_path.glob("*.json")
    same_machine = Results.parse(file.read_text()).machine
    before = replace(results(ran(FAST)), machine=same_machine)
    assert leaves(monkeypatch, tmp_path, FAST, before) == 0
    assert leaves(monkeypatch, tmp_path, ROW, before) == 1
    assert "worse: scoring, files" in capsys.readouterr().err
    assert leaves(monkeypatch, tmp_path, ROW, before, "--allow-regressions") == 0
    assert leaves(monkeypatch, tmp_path, FAST, before, failure="exit code 1") == 1


def test_another_machine_makes_no_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leaves(monkeypatch, tmp_path, ROW, results(ran(FAST))) == 0
    assert "not counted, since the last was measured on a machine" in capsys.readouterr().err


def test_results_are_kept_as_json_and_as_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves(monkeypatch, tmp_path, ROW, results(ran(FAST, name="decode")))
    (file,) = tmp_path.glob("*.json")
    assert [one.name for one in Results.parse(file.read_text()).benchmarks] == ["decode", "scoring"]
    assert "| scoring | files | a loop | 2.00 [1.90, 2.10] |" in file.with_suffix(".md").read_text()


def test_every_benchmark_is_in_both_profiles() -> None:
    modules = {path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")}
    assert set(_profiles.QUICK) >= modules
    assert set(_profiles.FULL) == set(_profiles.QUICK)
