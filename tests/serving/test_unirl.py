import base64
from typing import Any

import pytest

from tests.serving.asked import client
from tests.serving.fakes import FakeBackend, png


def request(level: int = 51, names: tuple[str, ...] = ("light",), **more: object) -> dict[str, Any]:
    turn = {"text": "a fox", "image_b64": base64.b64encode(png(level)).decode()}
    return {"history": [turn], "required_rewards": list(names), **more}


def test_its_client_finds_its_rewards_in_the_answer_to_health() -> None:
    asked = client(FakeBackend(names=("light", "b")))
    assert asked.get("/health").json() == {
        "status": "ok",
        "rewards": {"light": ["ready"], "b": ["ready"]},
    }
    assert asked.get("/b/health").json()["rewards"] == {"b": ["ready"]}
    assert asked.get("/rewards").json() == {"rewards": ["light", "b"]}
    assert asked.get("/b/rewards").json() == {"rewards": ["b"]}


def test_health_asks_to_come_again_while_nothing_can_be_scored() -> None:
    answer = client(FakeBackend(unready_because="draining")).get("/health")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_scores_of_one_request_are_asked_at_once() -> None:
    backend = FakeBackend(names=("light", "b"))
    body = {"requests": [request(51), request(255, ("b", "light"))], "protocol_version": "1"}
    found = client(backend).post("/score", json=body).json()
    assert found["results"][0] == {"light": pytest.approx({"total": 0.2, "red": 0.2})}
    assert found["results"][1].keys() == {"light", "b"}
    assert found["errors"] == [{}, {}]
    assert [item.prompt for item in backend.asked] == ["a fox", "a fox"]


def test_under_a_reward_it_is_the_only_one() -> None:
    asked = client(FakeBackend(names=("light", "b")))
    found = asked.post("/b/score", json={"requests": [request(51, ("light", "b"))]}).json()
    assert found["results"][0].keys() == {"b"}
    assert found["errors"] == [{"light": "no reward named 'light' here; served: b"}]


def test_a_request_that_names_no_reward_wants_that_of_the_address() -> None:
    asked = client(FakeBackend(names=("light", "b")))
    body = {"requests": [request(51, ())]}
    assert asked.post("/b/score", json=body).json()["results"][0].keys() == {"b"}
    found = asked.post("/score", json=body).json()
    assert found["results"] == [{}]
    (why,) = found["errors"]
    assert why == {"request": "no reward is wanted; name some of light, b in required_rewards"}


def test_a_picture_that_is_none_is_an_error_of_its_row_and_identities_come_back() -> None:
    bad = request(sample_id="s", group_id="g")
    bad["history"][0]["image_b64"] = base64.b64encode(b"no picture").decode()
    found = client(FakeBackend()).post("/score", json={"requests": [bad, request()]}).json()
    assert found["results"][0] == {}
    assert found["errors"][0] == {"light": "format: not a picture"}
    assert found["results"][1]["light"]["total"] == pytest.approx(0.2)
    assert found["identities"][0]["sample_id"] == "s"


@pytest.mark.parametrize("requests", [[], [{}], [request(names=())]])
def test_nothing_to_score_asks_nothing(requests: list[Any]) -> None:
    backend = FakeBackend()
    answer = client(backend).post("/score", json={"requests": requests})
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == len(requests)
    assert backend.asked == []


@pytest.mark.parametrize("body", [{}, {"requests": 3}, {"requests": [], "protocol_version": "2"}])
def test_a_body_of_another_protocol_is_refused(body: Any) -> None:
    answer = client(FakeBackend()).post("/score", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed")


def test_a_full_queue_says_when_to_come_again() -> None:
    answer = client(FakeBackend(queue=0)).post("/score", json={"requests": [request()]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
