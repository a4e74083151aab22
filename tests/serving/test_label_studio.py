import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from beholder.annotation.forms import pairwise, richhf
from beholder.annotation.forms.form import Shown
from beholder.serving.items import Answer, Detail, Map, RewardInfo, Scored, Word
from beholder.types import RATED
from tests.serving.asked import LABEL_STUDIO, Files, client
from tests.serving.fakes import FakeBackend, info, png

DARK, BRIGHT, GONE = (
    "/data/upload/1/dark.png",
    "/data/upload/1/bright.png",
    "/data/upload/1/gone.png",
)
TOKEN = "5ecre7" * 6
PAIR = pairwise.FORM.xml()


def files() -> Files:
    found = {DARK: png(51), BRIGHT: png(204), "https://cdn.example/far.png": png(102)}
    return Files({url if "://" in url else LABEL_STUDIO + url: data for url, data in found.items()})


def pair(left: str = DARK, right: str = BRIGHT, **more: object) -> dict[str, object]:
    data = {"task_key": "k", "prompt": "a fox", "image_left": left, "image_right": right}
    return {"id": 1, "data": data, "annotations": [{"result": "anything"}], **more}


def predict(*tasks: object, config: str = PAIR, path: str = "/predict", **more: Any) -> Any:
    body = {
        "tasks": list(tasks),
        "label_config": config,
        "project": "3.1795405568",
        "params": {"login": "", "password": "", "context": None},
    }
    backend, found = more.pop("backend", FakeBackend()), more.pop("files", files())
    answer = client(backend, found, **more).post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def ranks(result: Any) -> dict[str, tuple[int, ...]]:
    return dict(pairwise.FORM.read(Shown("k", "a fox", ("l", "r")), result["result"])[0].ranks)


def test_setup_and_versions_name_the_reward_and_ask_no_model() -> None:
    backend = FakeBackend(names=("light", "b"))
    asked = client(backend)
    body = {"project": "3.1", "schema": PAIR, "hostname": "x", "access_token": TOKEN}
    version = asked.post("/setup", json={**body, "extra_params": None}).json()["model_version"]
    assert version.startswith("light-")
    assert asked.get("/versions").json() == {"versions": [version]}
    assert asked.post("/b/setup", json=body).json()["model_version"].startswith("b-")
    assert backend.asked == []


@pytest.mark.parametrize("schema", ["", "<View/>", PAIR, richhf.FORM.xml()])
def test_a_form_of_ours_or_none_yet_can_be_connected(schema: str) -> None:
    assert client(FakeBackend()).post("/setup", json={"schema": schema}).status_code == 200


@pytest.mark.parametrize("schema", [None, 3, "<View", '<View><Brush name="a" toName="b"/></View>'])
def test_another_form_is_refused_where_it_is_connected(schema: object) -> None:
    answer = client(FakeBackend()).post("/setup", json={"schema": schema})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed")


def test_each_task_gets_its_prediction_in_order() -> None:
    found = predict(pair(), pair(BRIGHT, "https://cdn.example/far.png"), pair(DARK, DARK))
    assert [ranks(one)["overall"] for one in found] == [(2, 1), (1, 2), (1, 1)]
    assert [one["score"] for one in found] == pytest.approx([0.6, 0.4, 0.0])
    assert len({one["model_version"] for one in found}) == 1


def test_a_picture_of_several_tasks_is_fetched_once() -> None:
    found = files()
    predict(*[pair()] * 5, files=found)
    assert found.asked == [LABEL_STUDIO + DARK, LABEL_STUDIO + BRIGHT]


def test_more_pictures_than_are_held_at_once_come_in_order_too() -> None:
    flips = [pair(*((DARK, BRIGHT) if k % 3 else (BRIGHT, DARK))) for k in range(40)]
    found = predict(*flips)
    assert [ranks(one)["overall"] for one in found] == [
        (2, 1) if k % 3 else (1, 2) for k in range(40)
    ]


def test_a_task_without_a_score_is_empty_says_why_and_keeps_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        empty, good, other = predict(pair(right=GONE), pair(), pair(left="/etc/passwd"))
    assert empty["result"] == other["result"] == []
    assert empty["error"] == {"code": "url", "message": "there is nothing"}
    assert ranks(good)["overall"] == (2, 1)
    assert caplog.messages == ["2 of 3 tasks have no prediction: url 2"]


def test_answers_of_people_change_nothing() -> None:
    answers = [{"result": [{"from_name": "overall", "value": {"choices": ["left"]}}]}]
    assert predict(pair(annotations=answers)) == predict(pair(annotations=[]))


def test_secrets_are_neither_logged_nor_answered(caplog: pytest.LogCaptureFixture) -> None:
    asked = client(FakeBackend(), files())
    with caplog.at_level(logging.DEBUG):
        body = {"schema": PAIR, "access_token": TOKEN, "params": {"password": TOKEN}}
        said = asked.post("/setup", json=body).text
        said += asked.post("/setup", json={**body, "schema": "<a"}).text
        event = {"action": "ANNOTATION_CREATED", "project": {"token": TOKEN}}
        said += asked.post("/webhook", json=event).text
        said += asked.post("/predict", json={**body, "tasks": [pair()], "label_config": PAIR}).text
    assert TOKEN not in said
    assert TOKEN not in caplog.text


def test_events_are_heard_whatever_they_hold() -> None:
    asked = client(FakeBackend())
    assert asked.post("/webhook", content=b"\xff").json() == {"status": "ignored"}
    assert asked.post("/light/webhook", json={"action": "START_TRAINING"}).status_code == 200


def test_a_pair_counts_as_two_pictures() -> None:
    body = {"tasks": [pair()] * 3, "label_config": PAIR}
    answer = client(FakeBackend(), files(), items=5).post("/predict", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too-large")
    assert predict() == []


class Reloaded(FakeBackend):
    """Other weights as soon as something was scored."""

    @property
    @override
    def rewards(self) -> dict[str, RewardInfo]:
        weights = {"weights": str(bool(self.asked))}
        return {n: replace(info(n), identity=weights) for n in self.names}


def test_predictions_name_the_weights_that_made_them() -> None:
    found = predict(*[pair()] * 9, backend=Reloaded())
    versions = [one["model_version"] for one in found]
    assert len(set(versions[:8])) == 1
    assert versions[8] != versions[0]


class Rich(FakeBackend):
    """Everything that a form can show."""

    @property
    @override
    def rewards(self) -> dict[str, RewardInfo]:
        told: tuple[Detail, ...] = ("maps", "words", "deviations")
        return {n: replace(info(n), details=told, score_range=(0.0, 1.0)) for n in self.names}

    @override
    async def score(self, items: Any, *, timeout: float) -> list[Answer]:
        self.asked += items
        return [Answer({name: rich() for name in item.rewards}) for item in items]


def rich() -> Scored:
    grid = np.zeros((4, 4), "<f4")
    grid[1, 2] = 1
    return Scored(
        total=0.5,
        aspects=dict.fromkeys(RATED, 0.5),
        maps={"implausibility": Map(4, 4, grid.tobytes())},
        words=[Word("fox", 2, 5, 0.8)],
        size=(30, 40),
    )


def test_a_picture_gets_its_points_and_words() -> None:
    backend = Rich()
    task = {"data": {"prompt": "a fox", "image": DARK}}
    (found,) = predict(task, config=richhf.FORM.xml(), backend=backend)
    read = richhf.FORM.read(Shown("k", "a fox", ("k.png",)), found["result"])[0]
    assert [(p.x, p.y) for p in read.points["implausibility"]] == [(0.625, 0.375)]
    assert read.misaligned == ((2, 5),)
    assert read.values == dict.fromkeys(RATED, 0.5)
    (asked,) = backend.asked
    assert (asked.prompt, set(asked.detail)) == ("a fox", {"maps", "words"})


def test_what_a_form_cannot_show_is_not_asked() -> None:
    backend = Rich()
    predict(pair(), backend=backend)
    assert [item.detail for item in backend.asked] == [frozenset()] * 2
