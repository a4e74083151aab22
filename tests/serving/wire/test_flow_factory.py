import base64
from typing import Any

import pytest

from beholder.errors import DataError
from beholder.serving._wire import flow_factory
from beholder.serving.items import Answer, Fault, Item, Picture, Scored

FILE = base64.b64encode(b"file").decode()


def read(prompts: list[object], images: list[object]) -> flow_factory.Asked:
    return flow_factory.read({"prompt": prompts, "image": images, "video": None}, "mps")


def test_a_picture_with_its_prompt_is_an_item() -> None:
    asked = read(["a fox", ""], [FILE, FILE])
    one = Item(picture=Picture(data=b"file"), prompt="a fox", rewards=("mps",))
    assert asked.items[0] == one
    assert [item.prompt for item in asked.items] == ["a fox", ""]


@pytest.mark.parametrize(
    ("prompts", "images", "error"),
    [
        (["a", "b"], [FILE], "1 pictures but 2 prompts; give one prompt a picture"),
        (["a", 3], [FILE, FILE], "prompt 1 must be a string, got int"),
        (["a"], ["!"], "image 0 is not base64: expected the alphabet with + and /"),
        (["a"], ["data:image/png;base64,YQ=="], "image 0 is not base64: leave out what stands"),
        (["a"], ["-_-_"], "image 0 is not base64: it seems to be of the URL alphabet"),
    ],
)
def test_one_row_that_cannot_be_read_is_the_answer(
    prompts: list[object], images: list[object], error: str
) -> None:
    asked = read(prompts, images)
    assert asked.items == ()
    found = flow_factory.answer(asked, [])
    assert found["rewards"] == []
    assert found["error"].startswith(error)


def test_rewards_come_in_order() -> None:
    asked = read(["a", "b"], [FILE, FILE])
    answers = [Answer({"mps": Scored(total=t, aspects={"red": 2 * t})}) for t in (0.5, -1.0)]
    assert flow_factory.answer(asked, answers) == {"rewards": [0.5, -1.0]}
    assert flow_factory.answer(asked, answers, aspect="red") == {"rewards": [1.0, -2.0]}


def test_one_picture_without_a_score_takes_all_rewards_and_says_which() -> None:
    asked = read(["a"] * 6, [FILE] * 6)
    bad = Answer({}, {"mps": Fault("format", "no picture")})
    good = Answer({"mps": Scored(total=1.0, aspects={"red": None})})
    found = flow_factory.answer(asked, [good, bad, bad, bad, bad, good])
    assert found["rewards"] == []
    assert "4 of 6 pictures have no score (row 1: format: no picture; row 2:" in found["error"]
    assert "row 4" not in found["error"]
    assert "red has no score" in flow_factory.answer(asked, [good], aspect="red")["error"]


@pytest.mark.parametrize("body", [None, {"prompt": "a", "image": []}, {"prompt": []}])
def test_a_body_of_no_protocol_is_refused_as_a_whole(body: Any) -> None:
    with pytest.raises(DataError):
        flow_factory.read(body, "mps")
