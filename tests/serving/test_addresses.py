from typing import Any

import pytest

from tests.serving.asked import client
from tests.serving.fakes import FakeBackend

PATHS = ("/score", "/rewards", "/health", "/compute", "/setup", "/predict", "/versions", "/webhook")


@pytest.fixture(scope="module")
def document() -> Any:
    return client(FakeBackend()).get("/openapi.json").json()


@pytest.mark.parametrize("path", PATHS)
def test_each_address_stands_at_the_root_and_under_a_reward(path: str, document: Any) -> None:
    ((method, root),) = document["paths"][path].items()
    ((same, named),) = document["paths"][f"/{{reward}}{path}"].items()
    assert method == same
    assert [p["name"] for p in named["parameters"]] == ["reward"]
    assert "parameters" not in root
    assert root["summary"] == named["summary"] != ""
    assert named["responses"].keys() - root["responses"].keys() == {"404"}
    assert root["responses"].keys() >= {"200", "401", "503"}
    assert ("requestBody" in root) == (path in {"/score", "/compute", "/setup", "/predict"})


@pytest.mark.parametrize("path", ["/nosuch/compute", "/nosuch/setup", "/nosuch/score"])
def test_an_unknown_reward_is_not_found_in_the_shape_of_the_house(path: str) -> None:
    answer = client(FakeBackend()).post(path, json={})
    assert answer.status_code == 404
    assert answer.json().keys() == {"error", "request_id"}
    assert answer.json()["error"]["code"] == "unknown-reward"


@pytest.mark.parametrize("path", ["/score", "/compute", "/setup", "/predict"])
def test_a_body_of_another_kind_is_refused(path: str) -> None:
    asked = client(FakeBackend())
    assert asked.post(path, content=b"{}", headers={"Content-Type": "a/b"}).status_code == 415
    for body in (b"{", b"[]", b"null", b'{"requests": NaN}', b"\xff"):
        answer = asked.post(path, content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/score", {"requests": [{}] * 3}),
        ("/compute", {"prompt": [], "image": [""] * 3}),
        ("/predict", {"tasks": [{}] * 3, "label_config": "<View/>"}),
    ],
)
def test_rows_are_counted_before_they_are_looked_at(path: str, body: Any) -> None:
    backend = FakeBackend()
    answer = client(backend, items=2).post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too-large")
    assert backend.asked == []
