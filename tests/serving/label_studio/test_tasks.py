from typing import Any

import pytest

from beholder.annotation.forms import pairwise
from beholder.errors import DataError
from beholder.serving._label_studio.tasks import Question, read
from beholder.serving.items import Fault
from tests.serving.asked import LABEL_STUDIO
from tests.serving.label_studio.layouts import ONE_RATING

LEFT, RIGHT = "/data/upload/1/l.png", "https://cdn.example/r.png"
DATA = {"prompt": "a fox", "image_left": LEFT, "image_right": RIGHT, "task_key": "k"}


def asked(*tasks: object, config: str = "", at: str = LABEL_STUDIO) -> list[Question]:
    body = {"tasks": list(tasks), "label_config": config or pairwise.FORM.xml()}
    return list(read(body, at).questions)


class Guarded(dict[str, object]):
    """A task of which only the data may be looked at."""

    def get(self, key: str, default: object = None) -> Any:
        assert key == "data"
        return super().get(key, default)

    def __getitem__(self, key: str) -> object:
        raise AssertionError(key)


def test_a_task_shows_its_prompt_and_its_pictures_from_left_to_right() -> None:
    assert asked({"data": DATA}) == [Question("a fox", (LABEL_STUDIO + LEFT, RIGHT))]


def test_answers_of_people_are_never_read() -> None:
    task = Guarded(data=DATA, annotations=[{"result": []}], predictions=[], drafts=[])
    assert asked(task) == asked({"data": DATA})


def test_addresses_of_label_studio_end_in_one_slash_and_others_stay() -> None:
    (question,) = asked({"data": DATA}, at=f"{LABEL_STUDIO}/")
    assert question.pictures[0] == LABEL_STUDIO + LEFT
    (question,) = asked({"data": {**DATA, "image_left": "//evil.example/a.png"}})
    assert question.pictures[0] == "//evil.example/a.png"


@pytest.mark.parametrize("value", [None, 3, ["a"], {"b": 1}])
def test_a_picture_without_an_address_is_a_fault_of_its_own(value: object) -> None:
    (question,) = asked({"data": {**DATA, "image_left": value}})
    fault, right = question.pictures
    assert isinstance(fault, Fault)
    assert fault.code == "url"
    assert "data.image_left is" in fault.message
    assert right == RIGHT


def test_a_path_needs_a_named_label_studio() -> None:
    (question,) = asked({"data": DATA}, at="")
    fault, _ = question.pictures
    assert isinstance(fault, Fault)
    assert "--label-studio" in fault.message


@pytest.mark.parametrize("prompt", [None, 3, ["a"]])
def test_a_prompt_that_is_no_text_is_none(prompt: object) -> None:
    assert asked({"data": {**DATA, "prompt": prompt}})[0].prompt is None


def test_a_form_without_a_prompt_has_none() -> None:
    data = {"url": RIGHT, "prompt": "a fox"}
    assert asked({"data": data}, config=ONE_RATING) == [Question(None, (RIGHT,))]


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"tasks": [], "label_config": 3},
        {"tasks": {}, "label_config": "<View/>"},
        {"tasks": [3], "label_config": pairwise.FORM.xml()},
        {"tasks": [{"data": []}], "label_config": pairwise.FORM.xml()},
        {"tasks": [], "label_config": "<View/>"},
    ],
)
def test_a_body_of_no_protocol_is_refused_as_a_whole(body: Any) -> None:
    with pytest.raises(DataError):
        read(body, LABEL_STUDIO)
