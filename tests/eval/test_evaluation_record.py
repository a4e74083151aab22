"""Records of evaluations: what names the pairs, and what takes whose place."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beholder.errors import DataError
from beholder.eval.evaluation_differences import differences
from beholder.eval.evaluation_record import (
    PairData,
    Published,
    evaluation_record,
    keep_evaluation,
    pairs_hash,
    read_evaluations,
)
from beholder.eval.preference import Counting, evaluate, score_pairs
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
        "limit": None,
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


@pytest.mark.parametrize(
    "change",
    [
        {"reward": {"name": "r", "weights": "0123456789abcdef", "options": {"threshold": 0.01}}},
        {"reward": {"name": "r", "weights": "f" * 64}},
        {"data": {"name": "d", "split": "", "options": {}, "pairs_sha256": "other"}},
    ],
)
def test_other_options_weights_or_pairs_are_another_evaluation(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    told = finite(record("d"))
    keep_evaluation(tmp_path, told)
    keep_evaluation(tmp_path, {**told, **change})
    assert len(read_evaluations(tmp_path)) == 2
    keep_evaluation(tmp_path, {**told, **change})
    assert len(read_evaluations(tmp_path)) == 2


def test_the_same_weights_and_options_under_another_name_are_the_same(tmp_path: Path) -> None:
    told = finite(record("d"))
    keep_evaluation(tmp_path, told)
    keep_evaluation(tmp_path, {**told, "reward": {**told["reward"], "name": "mine"}})
    assert len(read_evaluations(tmp_path)) == 1


def test_differences_stay_until_the_same_comparison_is_made_again(tmp_path: Path) -> None:
    def difference(weights: str, value: float) -> dict[str, Any]:
        against = {"reward": "mps", "weights": weights, "options": {}}
        return {"second": "x", "aspect": "overall", "difference": value, "against": against}

    told = finite(record("d"))
    for found in ([difference("a", 0.1), difference("b", 0.2)], [], [difference("b", 0.3)]):
        keep_evaluation(tmp_path, {**told, "differences": found})
    (kept,) = read_evaluations(tmp_path)
    assert [each["difference"] for each in kept["differences"]] == [0.1, 0.3]


def test_a_difference_says_against_what(tmp_path: Path) -> None:
    one = TableScores(ROWS, "r")
    scored = {name: score_pairs(one, PAIRS) for name in ("r", "s")}
    counting = Counting(
        protocol="pickapic", tie_thresholds={"overall": 0.2}, tie_threshold_from="given", draws=5
    )
    found = differences(scored, {"r": counting, "s": counting})
    other = {"reward": "s", "weights": "b" * 64, "options": {"seed": 1}, "dtype": "float32"}
    told = evaluation_record(
        evaluate(one, PAIRS, draws=5),
        data=PairData(name="d", preferences=PAIRS),
        reward={"name": "r"},
        versions={},
        differences=found,
        against={"r": {}, "s": other},
    )
    (each,) = told["differences"]
    assert each["against"] == other
    assert (each["tie_threshold_first"], each["tie_threshold_second"]) == (0.2, 0.2)
    assert (each["draws"], each["seed"], each["flips"]) == (5, 0, 0)


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
