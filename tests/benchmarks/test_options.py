"""What every benchmark shares: where reports and rows go, who was there, where the peers are."""

import sys
from pathlib import Path

import pytest

from benchmarks import _options
from benchmarks._memory import peak, resident
from benchmarks._options import heading, installed, parser, peers_python, tell
from benchmarks._record import Missing, recorded

ROW = Missing(area="a", what="b", reason="c")


def test_a_report_goes_to_the_screen_and_to_a_file_and_its_rows_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, rows = tmp_path / "new" / "report.txt", tmp_path / "rows.jsonl"
    given = parser("about").parse_args(["--out", str(report), "--record", str(rows)])
    tell(given, "found\n", [ROW])
    assert capsys.readouterr().out == report.read_text() == "found\n"
    tell(given, "found", [ROW], said=True)
    assert capsys.readouterr().out == ""
    assert recorded(rows) == [ROW, ROW]


def test_a_heading_names_what_is_installed_and_nothing_else() -> None:
    line = heading("torch", "no-such-package", note="two threads")
    assert f"torch {installed('torch')}" in line
    assert "two threads" in line
    assert "no-such-package" not in line


def test_the_peers_are_those_of_the_variable_or_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_options.PEERS, sys.executable)
    assert peers_python() == Path(sys.executable)
    monkeypatch.setenv(_options.PEERS, str(tmp_path / "python"))
    assert peers_python() is None
    monkeypatch.delenv(_options.PEERS)
    monkeypatch.setattr(_options, "ROOT", tmp_path)
    assert peers_python() is None
    python = tmp_path / ".venv-peers" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert peers_python() == python
    assert peers_python(_options.SERVING_PEERS) is None


def test_memory_is_that_of_a_process_and_none_of_one_that_is_gone() -> None:
    assert 0 < resident() <= peak()
    assert resident(2**22 + 1) == 0
