"""The verbs that read judgements."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.annotation.samples import EXPORT, RICH_EXPORT
from tests.shell import Shell


@pytest.fixture
def imported(tmp_path: Path, shell: Shell) -> dict[str, Path]:
    """Both real exports, imported."""
    folders = {"pairs": tmp_path / "pairs", "pictures": tmp_path / "pictures"}
    assert shell("annotate", "import", EXPORT, "-o", folders["pairs"]) == 0
    assert "29 comparisons of 10 tasks, 19 clean" in shell.out
    assert shell("annotate", "import", RICH_EXPORT, "-o", folders["pictures"]) == 0
    assert "17 ratings of 10 tasks, 14 clean" in shell.out
    return folders


@pytest.mark.parametrize("kind", ["pairs", "pictures"])
def test_agreement_is_told_as_text_json_and_page(
    kind: str, imported: dict[str, Path], tmp_path: Path, shell: Shell
) -> None:
    page = tmp_path / "page.html"
    assert shell("annotate", "agreement", imported[kind], "--html", page) == 0
    assert "alpha ordinal" in shell.out
    assert f"open {page}" in shell.out
    assert page.read_text().startswith("<!doctype html>")
    said: Any = shell.json("annotate", "agreement", imported[kind])
    assert "overall" in said["aspects"]


def test_pairs_are_joined_by_each_method(
    imported: dict[str, Path], tmp_path: Path, shell: Shell
) -> None:
    for method in ("votes", "bradley-terry", "dawid-skene"):
        out = tmp_path / method
        words = ("annotate", "aggregate", imported["pairs"], "-o", out, "--method", method)
        assert shell(*words) == 0
        assert "rows of 19 judgements that count; 10 do not" in shell.out
        assert (out / "preferences" / "README.md").is_file()


def test_ratings_become_maps_of_the_wanted_size(
    imported: dict[str, Path], tmp_path: Path, shell: Shell
) -> None:
    words = ("annotate", "aggregate", imported["pictures"], "-o", tmp_path / "out")
    said: Any = shell.json(*words, "--heat", "gaussian", "--size", "32x48")
    assert (said["kind"], said["counted"]) == ("feedback", 14)
    assert "(32 x 48, height x width): each point is a Gaussian" in said["method"]
    assert shell(*words, "--size", "large") == 2
    assert "--size is 'large', expected HEIGHTxWIDTH" in shell.err


def test_a_public_data_set_is_converted(tmp_path: Path, shell: Shell) -> None:
    rows = [{"id": "1", "prompt": "p", "generations": ["a.png", "b.png"], "ranking": [2, 1]}]
    (tmp_path / "test.json").write_text(json.dumps(rows))
    words = ("annotate", "source", "imagerewarddb", "--from", tmp_path, "-o", tmp_path / "out")
    assert shell(*words) == 0
    assert "1 records of 1 rows\n  1 pairs, 0 ties\n  rule of ties" in shell.out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["agreement", "."], 1, "holds neither comparisons nor ratings"),
        (["aggregate", ".", "-o", "x"], 1, "holds neither comparisons nor ratings"),
        (["source", "hpd2", "-o", "x"], 2, "did you mean 'hpdv2'?"),
        (["source", "hpdv2", "-o", "x", "--set", "raww=1"], 2, "has no option 'raww'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str],
    code: int,
    told: str,
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell("annotate", *words) == code
    assert told in shell.err
    assert shell.err.count("\n") == 1
