"""Answers of a server: numbers that are numbers, errors with their codes, or a refusal to read."""

import base64
import math
from typing import Any

import numpy as np
import pytest
import torch

from beholder.errors import ServerError
from beholder.rewards import RewardCard
from beholder.rewards._remote.answers import Row, fault, rows_of, scores_of
from beholder.rewards._remote.served import Served
from beholder.types import WordLabel

SERVED = Served(
    name="mps",
    identity={},
    details=("maps",),
    fitting=None,
    card=RewardCard(name="mps", paper="", aspects=("a", "b")),
)


def drawn(*rows: list[float]) -> dict[str, object]:
    data = base64.b64encode(np.array(rows, "<f4").tobytes()).decode()
    return {"height": len(rows), "width": len(rows[0]), "data": data}


def good(total: object = 1.5, **more: object) -> dict[str, Any]:
    return {"scores": {"mps": {"total": total, "aspects": {"b": None, "a": 2}, **more}}}


def bad(code: object = "truncated", message: object = "the file ends early") -> dict[str, Any]:
    return {"scores": {}, "errors": {"mps": {"code": code, "message": message}}}


def test_an_answer_becomes_scores_in_the_order_of_the_card() -> None:
    words = [{"word": "cat", "start": 2, "end": 5, "p_misaligned": 0.25}]
    more = {"maps": {"m": drawn([0.0, 0.5], [1.0, 0.25])}, "words": words, "deviations": {"a": 0.5}}
    body = {"results": [good(**more), bad(), good(total=-3, **more)]}
    scores = scores_of(rows_of(body, SERVED, 3), SERVED)
    torch.testing.assert_close(scores.total, torch.tensor([1.5, math.nan, -3]), equal_nan=True)
    assert tuple(scores.aspects) == ("a", "b")
    assert scores.aspects["a"].tolist()[::2] == [2, 2]
    assert scores.aspects["b"].isnan().all()
    assert scores.errors == {1: "truncated: the file ends early"}
    assert scores.maps["m"].shape == (3, 2, 2)
    assert scores.maps["m"][2].tolist() == [[0.0, 0.5], [1.0, 0.25]]
    assert scores.maps["m"][1].isnan().all()
    assert scores.words == ((WordLabel("cat", 2, 5, 0.25),), (), (WordLabel("cat", 2, 5, 0.25),))
    assert scores.deviations["a"].tolist()[::2] == [0.5, 0.5]
    assert {v.dtype for v in (scores.total, *scores.aspects.values())} == {torch.float32}


def test_float32_comes_back_exactly() -> None:
    values = torch.randn(50) * 10.0 ** torch.randint(-8, 8, (50,))
    body = {"results": [good(total=float(repr(v))) for v in values.tolist()]}
    assert torch.equal(scores_of(rows_of(body, SERVED, 50), SERVED).total, values)


def test_a_batch_without_a_good_picture_has_no_maps_and_words() -> None:
    scores = scores_of(rows_of({"results": [bad(), bad()]}, SERVED, 2), SERVED)
    assert (scores.maps, scores.words, scores.deviations) == ({}, (), {})
    assert list(scores.errors) == [0, 1]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (bad("no-prompt", "needs one"), "no-prompt: needs one"),
        (bad("a: b", "x"), "refused: x"),
        (bad(None, "x"), "refused: x"),
        (bad("x", {"a": [1]}), "x: "),
        (bad("ok", "two\nlines\x1b[2J"), "ok: two lines\\x1b[2J"),
        (bad("ok", "y" * 1000), f"ok: {'y' * 300}…"),
    ],
)
def test_errors_keep_their_code_and_are_one_plain_line(said: dict[str, Any], error: str) -> None:
    (row,) = rows_of({"results": [said]}, SERVED, 1)
    assert row.error == error
    assert math.isnan(row.total)


def test_a_fault_is_a_row_without_a_score() -> None:
    assert fault("too-large", "no room") == Row(error="too-large: no room")


@pytest.mark.parametrize("body", [None, {}, {"results": {}}, {"results": []}, {"results": [1, 2]}])
def test_another_number_of_results_is_refused(body: object) -> None:
    with pytest.raises(ServerError, match="results for 1 pictures"):
        rows_of(body, SERVED, 1)


HUGE = {"height": 2**40, "width": 2**40, "data": ""}


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        {"scores": {"hps": {"total": 1}}},
        good() | {"errors": bad()["errors"]},
        {"scores": {"mps": {"aspects": {"a": 1, "b": 1}}}},
        {"scores": {"mps": {"total": 1, "aspects": {"a": 1}}}},
        {"errors": {"mps": "truncated"}},
        good(total=math.inf),
        good(total=10**400),
        good(total=True),
        good(total="1"),
        good(deviations={"a": None}),
        good(maps={"m": HUGE}),
        good(maps={"m": {**drawn([0.5]), "width": 2}}),
        good(maps={"m": {**drawn([0.5]), "data": "*"}}),
        good(words=[{"word": "a", "start": "0", "end": 1, "p_misaligned": 0.5}]),
        good(words=["cat"]),
    ],
)
def test_what_is_not_the_agreed_form_is_refused(said: object) -> None:
    with pytest.raises(ServerError, match="one version of beholder on both sides"):
        rows_of({"results": [said]}, SERVED, 1)


def test_maps_of_several_sizes_are_refused() -> None:
    body = {"results": [good(maps={"m": drawn([0.5])}), good(maps={"m": drawn([0.5, 1.0])})]}
    with pytest.raises(ServerError, match="several sizes"):
        scores_of(rows_of(body, SERVED, 2), SERVED)
