import json
from pathlib import Path

import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._ranking.figures import checkpoint_figures

COST = {"runtime": {"median": 0.25}, "memory": None, "pictures_per_second": 4.0}
DIVERSITY = {"measurements": [{"metric": "lpips_diversity", "value": 0.5, "low": 0.4}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "costs").mkdir()
    for name, factor in (("a", 1), ("b", 2)):
        cost = COST | {"runtime": {"median": 0.25 * factor}}
        (tmp_path / f"costs/{name}.json").write_text(json.dumps(cost))
    return tmp_path


def test_a_folder_holds_what_cost_printed_of_each(folder: Path) -> None:
    found = checkpoint_figures(f"{folder}/costs#runtime.median")
    assert found == {"a": 0.25, "b": 0.5}


def test_a_file_holds_numbers_or_what_measure_printed(folder: Path) -> None:
    (folder / "plain.json").write_text('{"a": 1, "b": null}')
    assert checkpoint_figures(f"{folder}/plain.json") == {"a": 1.0}
    (folder / "measured.json").write_text(json.dumps({"a": DIVERSITY}))
    assert checkpoint_figures(f"{folder}/measured.json#lpips_diversity") == {"a": 0.5}
    assert checkpoint_figures(f"{folder}/measured.json#lpips_diversity.low") == {"a": 0.4}


def test_a_table_names_checkpoints_first(folder: Path) -> None:
    (folder / "t.csv").write_text("model,seconds,bytes\na,1.5,8\nb,2.5,\n")
    assert checkpoint_figures(f"{folder}/t.csv") == {"a": 1.5, "b": 2.5}
    assert checkpoint_figures(f"{folder}/t.csv#bytes") == {"a": 8.0}


@pytest.mark.parametrize(
    ("content", "figure", "said"),
    [
        (json.dumps({"a": COST}), "", "say which one"),
        (json.dumps({"a": COST}), "#runtime.mean", "no 'mean'; it has median"),
        (json.dumps({"a": "slow"}), "", "no number"),
    ],
)
def test_a_figure_that_is_not_there_is_refused(
    folder: Path, content: str, figure: str, said: str
) -> None:
    (folder / "x.json").write_text(content)
    with pytest.raises(ConfigError, match=said):
        checkpoint_figures(f"{folder}/x.json{figure}")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.json", "[1]", "no JSON object"),
        ("x.json", "{", "is no JSON"),
        ("x.json", '{"a": null}', "no number of any"),
        ("x.csv", "model,s\n", "a header and rows"),
        ("x.csv", "model,s\na\n", "a header and rows"),
    ],
)
def test_a_malformed_file_is_refused(folder: Path, name: str, content: str, said: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=said):
        checkpoint_figures(f"{folder}/{name}")


@pytest.mark.parametrize("name", ["gone.json", "gone.csv"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match="is not there"):
        checkpoint_figures(f"{folder}/{name}")


def test_a_name_may_hold_a_line_break_and_empty_lines_are_none(folder: Path) -> None:
    (folder / "t.csv").write_text('model,seconds\n"a\nb",1.5\n\nc\u2028d,2\n', encoding="utf-8")
    assert checkpoint_figures(f"{folder}/t.csv") == {"a\nb": 1.5, "c\u2028d": 2.0}
