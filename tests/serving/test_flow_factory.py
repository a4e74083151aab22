import base64
from typing import Any

import pytest

from tests.serving.asked import client
from tests.serving.fakes import FakeBackend, png


def body(*levels: int) -> dict[str, Any]:
    """As its client writes it."""
    images = [base64.b64encode(png(level)).decode() for level in levels]
    rest = dict.fromkeys(("video", "condition_images", "condition_videos", "kwargs"))
    return {"prompt": ["a fox"] * len(levels), "image": images, **rest}


def test_its_client_finds_one_reward_a_picture() -> None:
    backend = FakeBackend(names=("light", "b"))
    found = client(backend).post("/compute", json=body(51, 255)).json()
    assert found == {"rewards": [pytest.approx(0.2), 1.0]}
    assert [(item.prompt, item.rewards) for item in backend.asked] == [("a fox", ("light",))] * 2


def test_under_a_name_that_reward_is_asked() -> None:
    backend = FakeBackend(names=("light", "b"))
    assert client(backend).post("/b/compute", json=body(51)).status_code == 200
    assert backend.asked[0].rewards == ("b",)


def test_one_picture_without_a_score_stops_its_client_with_the_reason() -> None:
    asked = body(51, 51)
    asked["image"][1] = base64.b64encode(b"no picture").decode()
    answer = client(FakeBackend()).post("/compute", json=asked)
    assert answer.status_code == 200
    assert answer.json()["rewards"] == []
    assert "1 of 2 pictures have no score (row 1: format: not a picture)" in answer.json()["error"]


def test_rows_that_cannot_be_read_ask_nothing() -> None:
    backend = FakeBackend()
    asked = {**body(51), "prompt": ["a", "b"]}
    assert (
        "1 pictures but 2 prompts" in client(backend).post("/compute", json=asked).json()["error"]
    )
    assert client(backend).post("/compute", json=body()).json() == {"rewards": []}
    assert backend.asked == []


@pytest.mark.parametrize("change", [{"image": None}, {"prompt": "a"}])
def test_a_body_without_pictures_or_prompts_is_refused(change: dict[str, Any]) -> None:
    answer = client(FakeBackend()).post("/compute", json=body(51) | change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed")


def test_no_time_is_a_refusal_that_its_client_tries_again() -> None:
    answer = client(FakeBackend(unready_because="draining")).post("/compute", json=body(51))
    assert answer.status_code == 503
