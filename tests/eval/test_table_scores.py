import math
from pathlib import Path

import pytest

from beholder.errors import DataError
from beholder.eval.preference import evaluate
from beholder.eval.table_scores import TableScores
from beholder.types import Preference

ROWS: list[dict[str, object]] = [
    {"key": "a", "image": "/p/a.png", "prompt": "x", "r.total": 2.0, "r.detail": 1.0},
    {"key": "b", "image": "/p/b.png", "prompt": "x", "r.total": 1.0, "r.detail": 3.0},
    {"key": "c", "image": "/p/c.png", "prompt": "x", "r.total": None, "r.error": "truncated: bad"},
]


def test_a_table_answers_like_the_reward_that_filled_it() -> None:
    scores = TableScores(ROWS, "r").score(["/p/b.png", "/p/a.png"], ["x", "x"])
    assert scores.total.tolist() == [1.0, 2.0]
    assert scores.aspects["detail"].tolist() == [3.0, 1.0]
    assert scores.errors == {}


def test_a_missing_picture_is_an_error_row_that_says_why() -> None:
    scores = TableScores(ROWS, "r").score(["/p/c.png", "/p/a.png"], ["x", "another prompt"])
    assert all(math.isnan(value) for value in scores.total.tolist())
    assert scores.errors[0] == "truncated: bad"
    assert scores.errors[1].startswith("absent: ")


def test_relative_and_absolute_paths_are_the_same_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"key": "a", "image": str(tmp_path / "a.png"), "prompt": "x", "r.total": 2.0}]
    assert TableScores(rows, "r").aspects("a.png", "x") == {"total": 2.0}


def test_accuracy_of_a_table_needs_no_model() -> None:
    said = {"detail": 1.0, "overall": 1.0}
    pair = Preference(key="1", prompt="x", first="/p/a.png", second="/p/b.png", p_first=said)
    result = evaluate(TableScores(ROWS, "r"), [pair], draws=10)
    assert result.aspects["detail"].accuracy == 0
    assert result.aspects["overall"].accuracy == 1
    assert result.scored_by == {"detail": "detail", "overall": "total"}


def test_a_reward_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(DataError, match=r"hps\.total"):
        TableScores(ROWS, "hps")
