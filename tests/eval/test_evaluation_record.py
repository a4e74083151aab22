"""Records of evaluations: what names the pairs, and what takes whose place."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beholder.errors import DataError
from beholder.eval.evaluation_record import (
    PairData,
    Published,
    evaluation_record,
    keep_evaluation,
    pairs_hash,
    read_evaluations,
)
from beholder.eval.preference import evaluate
from beholder.eval.table_scores import TableScores
from beholder.types import Preference

PAIRS = [
    Preference(
        key="k", prompt="x", first="/p/a/1.png", second="/p/b/1.png", p_first={"overall": 1.0}
    ),
    Preference(
        key="l", prompt="y", first="/p/a/2.png", second="/p/b/2.png", p_first={"overall": 0.5}
    ),
]
ROWS = [
    {"key": p, "image": f"/p/{p}.png", "prompt": prompt, "r.total": float(k)}
    for k, (p, prompt) in enumerate([("a/1", "x"), ("b/1", "x"), ("a/2", "y"), ("b/2", "y")])
]


def record(name: str = "d", protocol: str = "imagereward", **data: Any) -> dict[str, Any]:
    result = evaluate(TableScores(ROWS, "r"), PAIRS, protocol=protocol, draws=5)
    return evaluation_record(
        result,
        data=PairData(name=name, preferences=PAIRS, **data),
        reward={"name": "r", "weights": "0123456789abcdef"},
        versions={"torch": "2.6"},
        published=[Published(reward="r", data="D test", percent=60.0, protocol="p", source="s")],
    )


def finite(values: dict[str, Any]) -> dict[str, Any]:
    aspects = {
        aspect: {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in said.items()}
        for aspect, said in values["aspects"].items()
    }
    return {**values, "aspects": aspects}


def test_a_record_holds_everything_that_moves_the_number() -> None:
    told = record(split="test", options={"raw": True})
    assert told["protocol"] == "imagereward/1"
    assert told["aspects"]["overall"]["accuracy"] == 0
    assert told["data"] == {
        "name": "d",
        "split": "test",
        "options": {"raw": "True"},
        "pairs": 2,
        "pairs_sha256": pairs_hash(PAIRS),
        "rows_left_out": {},
    }
    assert told["reward"]["weights"] == "0123456789abcdef"
    assert told["versions"] == {"torch": "2.6"}
    assert told["published"][0]["percent"] == 60
    assert told["date"].startswith("20")


def test_the_hash_is_of_the_pairs_not_of_their_order_or_place() -> None:
    moved = [
        replace(p, first=p.first.replace("/p/", "/else/"), second=p.second.replace("/p/", "/else/"))
        for p in reversed(PAIRS)
    ]
    assert pairs_hash(moved) == pairs_hash(PAIRS)
    assert len(pairs_hash(PAIRS)) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"p_first": {"overall": 0.9}},
        {"p_first": {"detail": 1.0}},
        {"prompt": "z"},
        {"first": "/p/b/1.png", "second": "/p/a/1.png"},
        {"key": "m"},
    ],
)
def test_another_answer_prompt_picture_or_question_is_another_hash(change: dict[str, Any]) -> None:
    assert pairs_hash([replace(PAIRS[0], **change), PAIRS[1]]) != pairs_hash(PAIRS)


def test_pictures_without_a_common_folder_are_named_as_they_are() -> None:
    mixed = [replace(PAIRS[0], first="uid-1")]
    assert pairs_hash(mixed) != pairs_hash(PAIRS[:1])
    assert len(pairs_hash([])) == 16


def test_a_newer_evaluation_takes_the_place_of_the_same_and_of_no_other(tmp_path: Path) -> None:
    for told in (
        record("d"),
        record("e"),
        record("d", split="test"),
        record("d", "hpdv2"),
        {**record("d"), "seed": 7},
    ):
        path = keep_evaluation(tmp_path, finite(told))
    assert path == tmp_path / "evaluation.json"
    kept = read_evaluations(tmp_path)
    assert [(k["data"]["name"], k["data"]["split"], k["protocol"], k["seed"]) for k in kept] == [
        ("e", "", "imagereward/1", 0),
        ("d", "test", "imagereward/1", 0),
        ("d", "", "hpdv2/1", 0),
        ("d", "", "imagereward/1", 7),
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["evaluation.json"]


def test_a_long_list_of_failures_is_counted_and_cut(tmp_path: Path) -> None:
    bad = {f"{k}.png": "missing: gone" for k in range(100)}
    told = finite({**record(), "unreadable": bad, "pictures_without_score": 100})
    keep_evaluation(tmp_path, told)
    (kept,) = read_evaluations(tmp_path)
    assert (len(kept["unreadable"]), kept["pictures_without_score"]) == (20, 100)
    assert len(told["unreadable"]) == 100


def test_nan_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        keep_evaluation(tmp_path, {**record(), "pairs_left_out": math.nan})
    assert read_evaluations(tmp_path) == []


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[1]", '[{"protocol": "x"}]'])
def test_a_file_that_is_something_else_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(DataError, match="move it away"):
        keep_evaluation(tmp_path, finite(record()))
    assert (tmp_path / "evaluation.json").read_text() == text
    assert json.loads("[]") == read_evaluations(tmp_path / "nowhere")
