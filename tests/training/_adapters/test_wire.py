import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from beholder.errors import ConfigError, DataError
from beholder.training._adapters.wire import flow_factory_response, unirl_response
from tests.training._adapters.grey import Grey

REWARDS = {"grey": Grey(), "other": Grey()}


def encoded(level: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), level, np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def asked(level: int = 51, text: str = "a", names: tuple[str, ...] = ("grey",)) -> dict[str, Any]:
    turn = {"text": text, "image_b64": encoded(level)}
    return {"history": [turn], "required_rewards": list(names)}


def answer(*requests: Any) -> dict[str, Any]:
    found = unirl_response(REWARDS, {"protocol_version": "1", "requests": list(requests)})
    return json.loads(json.dumps(found, allow_nan=False))  # type: ignore[no-any-return]


def test_unirl_gets_total_first_and_then_the_aspects() -> None:
    found = answer(asked(51), asked(153, "plus"))
    assert [list(one["grey"]) for one in found["results"]] == [["total", "red"]] * 2
    assert found["results"][0]["grey"]["total"] == pytest.approx(0.2)
    assert found["results"][1]["grey"] == pytest.approx({"total": 1.6, "red": 0.6})
    assert found["errors"] == [{}, {}]
    assert found["protocol_version"] == "1"


def test_each_request_gets_the_rewards_that_it_wants() -> None:
    found = answer(asked(names=("grey", "other")), asked(names=("other",)), asked(names=()))
    assert [sorted(one) for one in found["results"]] == [["grey", "other"], ["other"], []]


def test_the_last_turn_of_a_history_counts() -> None:
    request = asked(153)
    request["history"].insert(0, {"text": "an older turn", "image_b64": encoded(51)})
    assert answer(request)["results"][0]["grey"]["total"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history": []}, "history is empty"),
        ({"history": "a"}, "history must be a list, got str"),
        ({"history": [3]}, "a turn must be a JSON object, got int"),
        ({"history": [{"image_b64": encoded(51)}]}, "text must be a string, got NoneType"),
        ({"history": [{"text": "a"}]}, "image_b64 must be a picture in base64, got NoneType"),
        ({"history": [{"text": "a", "image_b64": "/etc/passwd!"}]}, "image_b64 is not base64"),
        ({"history": [{"text": "a", "image_b64": "/etc/passwd0"}]}, "format"),
        ({"required_rewards": ["grye"]}, "no reward named 'grye' here; served: grey, other"),
    ],
)
def test_a_request_that_cannot_be_scored_has_an_error_and_the_others_their_scores(
    change: dict[str, Any], message: str
) -> None:
    found = answer(asked(51), asked(51) | change, asked(153))
    (why,) = found["errors"][1].values()
    assert message in why
    assert found["results"][1] == found["errors"][0] == found["errors"][2] == {}
    assert found["results"][0]["grey"]["total"] == pytest.approx(0.2)
    assert found["results"][2]["grey"]["total"] == pytest.approx(0.6)


@pytest.mark.parametrize("request_", [7, {"history": []}])
def test_a_request_that_names_no_rewards_has_its_error_under_request(request_: Any) -> None:
    assert list(answer(request_)["errors"][0]) == ["request"]


def test_a_score_that_is_not_finite_is_an_error_and_never_a_number() -> None:
    found = answer(asked(0))
    assert found["results"] == [{}]
    assert "non-finite" in found["errors"][0]["grey"]


def test_identities_are_echoed_without_a_version_of_the_scorer() -> None:
    identity = {"request_id": "r", "sample_id": "s", "group_id": "g", "source_rank": 0}
    identity |= {"policy_version": 4, "idempotency_key": "k"}
    (echo,) = answer(asked() | identity | {"scorer_version": "v"})["identities"]
    assert echo == identity | {"scorer_version": None}


def test_no_requests_have_no_answers() -> None:
    assert answer() == {"protocol_version": "1", "results": [], "errors": [], "identities": []}


@pytest.mark.parametrize("body", [[], {}, {"requests": 3}, {"requests": [], "protocol_version": 2}])
def test_a_body_of_no_protocol_is_refused_as_a_whole(body: Any) -> None:
    with pytest.raises(DataError):
        unirl_response(REWARDS, body)


def test_flow_factory_gets_one_reward_a_picture() -> None:
    body = {"prompt": ["a", "plus"], "image": [encoded(51), encoded(153)], "video": None}
    assert flow_factory_response(Grey(), body) == {"rewards": pytest.approx([0.2, 1.6])}
    assert flow_factory_response(Grey(), body, aspect="red")["rewards"][1] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([encoded(51), encoded(0)], "row 1: non-finite"),
        ([encoded(51), "not base64"], "image 1 is not base64"),
        ([encoded(51), None], "image 1 must be a picture in base64"),
        ([encoded(51)], "1 pictures but 2 prompts"),
    ],
)
def test_flow_factory_gets_an_error_in_place_of_all_rewards(
    images: list[Any], message: str
) -> None:
    found = flow_factory_response(Grey(), {"prompt": ["a", "b"], "image": images})
    assert found["rewards"] == []
    assert message in found["error"]


@pytest.mark.parametrize("body", [None, {"prompt": "a", "image": []}, {"prompt": ["a"]}])
def test_a_body_without_prompts_and_pictures_is_refused(body: Any) -> None:
    with pytest.raises(DataError):
        flow_factory_response(Grey(), body)


def test_an_aspect_that_is_not_served_is_refused() -> None:
    with pytest.raises(ConfigError, match="no aspect 'blue'"):
        flow_factory_response(Grey(), {"prompt": [], "image": []}, aspect="blue")
