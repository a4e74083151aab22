"""The document of an answer is the same whole and in pieces, and never in memory as one."""

import base64
import json
import tracemalloc
from collections.abc import Collection
from typing import Any

import numpy as np
import pytest

from beholder.serving import results
from beholder.serving.items import Answer, Detail, Fault, Map, Scored, Word
from beholder.serving.results import PIECE, bytes_of, document, pieces

SIDE = 384
MAP = Map(SIDE, SIDE, np.random.default_rng(0).random((SIDE, SIDE), np.float32).tobytes())


def scored(**more: Any) -> Answer:
    return Answer(scores={"light": Scored(total=0.1, aspects={"red": None}, size=(1, 2), **more)})


WITH_ALL = scored(deviations={"red": 0.5}, maps={"heat": MAP}, words=[Word("f\ud800", 0, 2, 0.25)])


def read(answers: list[Answer], detail: Collection[Detail] = ()) -> Any:
    return json.loads(document("abc", answers, detail))


def test_scores_and_faults_stand_in_order_under_the_id() -> None:
    failed = Answer(faults={"light": Fault("format", 'not a "picture"')})
    good = {"total": 0.1, "aspects": {"red": None}, "size": [1, 2]}
    assert read([failed, scored()]) == {
        "request_id": "abc",
        "results": [
            {"scores": {}, "errors": {"light": {"code": "format", "message": 'not a "picture"'}}},
            {"scores": {"light": good}, "errors": {}},
        ],
    }


def test_details_are_told_that_are_asked_for_and_there() -> None:
    def told(answer: Answer, *detail: Detail) -> Any:
        one = read([answer], detail)["results"][0]["scores"]["light"]
        return {key: of for key, of in one.items() if key not in ("total", "aspects", "size")}

    heat = {"height": SIDE, "width": SIDE, "data": base64.b64encode(MAP.data).decode()}
    word = {"word": "f\ud800", "start": 0, "end": 2, "p_misaligned": 0.25}
    assert told(WITH_ALL, "maps") == {"maps": {"heat": heat}}
    assert told(WITH_ALL, "words", "deviations") == {"deviations": {"red": 0.5}, "words": [word]}
    assert told(WITH_ALL) == {}
    assert told(scored(), "maps", "words", "deviations") == {}


def test_a_number_that_is_none_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        document("abc", [scored(deviations={"red": float("nan")})], ["deviations"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_pieces_are_the_document_cut(count: int) -> None:
    answers = [WITH_ALL, scored()] * count
    found = list(pieces("abc", answers, ["maps"]))
    assert b"".join(found) == document("abc", answers, ["maps"])
    assert {len(piece) for piece in found[:-1]} <= {PIECE}
    assert 0 < len(found[-1]) <= PIECE
    assert len(found) == 1 + 4 * len(MAP.data) // 3 * count // PIECE


def test_no_more_is_in_memory_than_a_few_copies_of_one_answer() -> None:
    answers = [WITH_ALL] * 30
    tracemalloc.start()
    size = sum(map(len, pieces("abc", answers, ["maps"])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 20 * len(MAP.data)
    assert peak < results.COPIES * bytes_of(WITH_ALL)


def test_maps_and_words_count_by_what_they_take() -> None:
    few = bytes_of(scored())
    assert bytes_of(scored(maps={"a": MAP, "b": MAP})) == few + 2 * 4 * SIDE * SIDE
    many = scored(words=[Word("word", 5 * k, 5 * k + 4, 0.123456789) for k in range(1000)])
    assert bytes_of(many) > len(document("abc", [many], ["words"]))
