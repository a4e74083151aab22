import json
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from beholder._verbs.export import register
from beholder.errors import ConfigError
from beholder.tables import ScoreTable


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    register(made)
    return made


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    table = ScoreTable(tmp_path / "scores")
    with table.writing() as writer:
        writer.claim("mps", {"weights": "abc"})
        writer.add_inputs([{"key": "a", "image": "/p/a.png", "prompt": "a fox"}])
        writer.add_scores("mps", {"key": ["a"], "mps.total": [0.5], "mps.error": [None]})
    return table.folder


def test_a_table_is_written_and_told(app: typer.Typer, scores: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    told = CliRunner().invoke(app, [str(scores), "-o", str(out)])
    assert (told.exit_code, told.output) == (0, f"{out}: 1 rows of 5 columns\n")
    assert pl.read_csv(out)["mps.total"].to_list() == [0.5]


def test_chosen_columns_as_json(app: typer.Typer, scores: Path, tmp_path: Path) -> None:
    words = [str(scores), "-o", str(tmp_path / "out"), "--columns", "key, mps.total", "--json"]
    told = json.loads(CliRunner().invoke(app, words).output)
    assert told == {
        "out": str(tmp_path / "out"),
        "rows": 1,
        "columns": ["key", "mps.total"],
        "files": 1,
    }


def test_a_wrong_suffix_is_a_usage_error(app: typer.Typer, scores: Path) -> None:
    told = CliRunner().invoke(app, [str(scores), "-o", "table.xls"])
    assert isinstance(told.exception, ConfigError)


@pytest.mark.parametrize("option", ["--with", "--also"])
def test_further_scores_stand_beside(
    app: typer.Typer, scores: Path, tmp_path: Path, option: str
) -> None:
    other = ScoreTable(tmp_path / "other")
    with other.writing() as writer:
        writer.claim("hps", {"weights": "abc"})
        writer.add_inputs([{"key": "a", "image": "/p/a.png", "prompt": "a fox"}])
        writer.add_scores("hps", {"key": ["a"], "hps.total": [2.0], "hps.error": [None]})
    words = [str(scores), "-o", str(tmp_path / "t.csv"), option, str(other.folder)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert pl.read_csv(tmp_path / "t.csv").select("mps.total", "hps.total").row(0) == (0.5, 2.0)
