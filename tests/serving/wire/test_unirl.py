import base64
from typing import Any

import pytest

from beholder.errors import DataError
from beholder.serving._wire import unirl
from beholder.serving.items import Answer, Fault, Item, Picture, Scored

SERVED = ("mps", "hps")


def request(*names: str, text: object = "a fox", data: bytes = b"file") -> dict[str, Any]:
    turn = {"text": text, "image_b64": base64.b64encode(data).decode()}
    return {"history": [turn], "required_rewards": list(names)}


def read(*requests: object) -> unirl.Asked:
    return unirl.read({"requests": list(requests)}, SERVED)


def test_a_request_is_one_item_of_the_rewards_that_it_wants() -> None:
    asked = read(request("hps", "mps", "hps"))
    picture = Picture(data=b"file")
    assert asked.items == [Item(picture=picture, prompt="a fox", rewards=("hps", "mps"))]
    assert (asked.rows, asked.errors) == ([0], [{}])


def test_what_cannot_be_asked_leaves_its_row_and_the_others_theirs() -> None:
    asked = read(request("mps", text=3), request("mps"), request(), request("sps"), 7)
    assert asked.rows == [1]
    text, none, nothing, unknown, odd = asked.errors
    assert text == {"mps": "text must be a string, got int"}
    assert none == {}
    assert nothing == {"request": "no reward is wanted; name some of mps, hps in required_rewards"}
    assert unknown == {"sps": "no reward named 'sps' here; served: mps, hps"}
    assert odd == {"request": "a request must be a JSON object, got int"}


def test_a_reward_that_is_not_served_costs_the_others_nothing() -> None:
    asked = read(request("sps", "hps"))
    assert asked.items[0].rewards == ("hps",)
    assert asked.errors[0].keys() == {"sps"}


def test_who_names_no_reward_gets_those_that_are_meant_and_who_names_one_that_alone() -> None:
    requests = {"requests": [request(), request("mps")]}
    asked = unirl.read(requests, SERVED, meant=("hps",))
    assert [item.rewards for item in asked.items] == [("hps",), ("mps",)]
    assert asked.errors == [{}, {}]


def test_one_request_cannot_want_a_thousand_rewards() -> None:
    (errors,) = read(request(*map(str, range(65)))).errors
    assert errors == {"request": "65 required_rewards, at most 64 are taken"}


def test_scores_errors_and_rows_stay_together() -> None:
    asked = read(request("sps"), request("mps", "hps"), request("mps"))
    scored = Scored(total=0.5, aspects={"detail": None, "overall": 0.25})
    lost = Fault("truncated", "the file ends early")
    answers = [Answer({"mps": scored}, {"hps": lost}), Answer({}, {"mps": lost})]
    found = unirl.answer(asked, answers)
    assert found["results"] == [{}, {"mps": {"total": 0.5, "overall": 0.25}}, {}]
    assert list(found["results"][1]["mps"]) == ["total", "overall"]
    assert found["errors"][1:] == [
        {"hps": "truncated: the file ends early"},
        {"mps": "truncated: the file ends early"},
    ]


def test_identities_are_repeated_as_they_came() -> None:
    given = {"request_id": "r", "source_rank": 0, "policy_version": 3, "metadata": {"x": 1}}
    (echo,) = read(request("mps") | given).identities
    assert echo["request_id"] == "r"
    assert echo["policy_version"] == 3
    assert "metadata" not in echo
    assert echo["scorer_version"] is None


@pytest.mark.parametrize(
    "body", [[], {}, {"requests": {}}, {"requests": [], "protocol_version": "2"}]
)
def test_a_body_of_no_protocol_is_refused_as_a_whole(body: Any) -> None:
    with pytest.raises(DataError):
        unirl.read(body, SERVED)
