"""JSON and forms that say the same want the same."""

import base64

import pytest

from beholder.images import Limits
from beholder.serving.items import Fault, Picture
from beholder.serving.multipart import Part
from beholder.serving.refusals import MalformedError
from beholder.serving.settings import RequestLimits
from beholder.serving.wanted import PIXELS, Address, Wanted, of_document, of_parts

LIMITS = RequestLimits(prompt=5, pictures=Limits(side=4))
SIZE = {"dtype": "float32", "height": "1", "width": "2"}


def image(data: bytes = b"file") -> Part:
    return Part("image", data)


def prompt(text: str) -> Part:
    return Part("prompt", text.encode())


def test_a_document_and_a_form_of_the_same_pictures_are_alike() -> None:
    rows = bytes(24)
    document = {
        "items": [
            {"image": base64.b64encode(b"file").decode(), "prompt": "a"},
            {
                "pixels": {
                    "data": base64.b64encode(rows).decode(),
                    "dtype": "float32",
                    "height": 1,
                    "width": 2,
                },
                "prompt": "b",
            },
        ],
        "rewards": ["mps", "hps", "mps"],
        "detail": ["maps", "words"],
    }
    form = [image(), Part("image", rows, PIXELS, SIZE), prompt("a"), prompt("b")]
    form += [Part("reward", name) for name in (b"mps", b"hps", b"mps")]
    form += [Part("detail", b"maps"), Part("detail", b"words")]
    expected = Wanted(
        pictures=[
            Picture(data=b"file"),
            Picture(data=rows, encoding="float32", height=1, width=2),
        ],
        prompts=["a", "b"],
        rewards=("mps", "hps"),
        detail=frozenset(("maps", "words")),
    )
    assert of_document(document, LIMITS) == of_parts(form, LIMITS) == expected


def test_prompts_of_a_form_are_none_one_for_all_or_one_each() -> None:
    pictures = [image()] * 3
    assert of_parts(pictures, LIMITS).prompts == [None] * 3
    assert of_parts([*pictures, prompt("")], LIMITS).prompts == [""] * 3
    each = [prompt("x\r\n"), prompt(""), prompt("ü")]
    assert of_parts([*each, *pictures], LIMITS).prompts == ["x\r\n", "", "ü"]
    with pytest.raises(MalformedError, match="3 pictures but 2 prompts"):
        of_parts([*pictures, *each[:2]], LIMITS)


def test_nothing_named_means_the_default_reward_and_no_detail() -> None:
    wanted = of_document({"items": [{"image": ""}]}, LIMITS)
    assert (wanted.rewards, wanted.detail) == ((), frozenset())


def test_a_picture_that_cannot_be_had_leaves_the_others_alone() -> None:
    items = [
        {"image": "?"},
        {"image_url": "https://x/" + "y" * 2_048},
        {"image": "", "prompt": "longer"},
        {"pixels": {"data": "AAAA", "dtype": "uint8", "height": 5, "width": 1}},
        {"image_url": "https://x/y", "prompt": "five!"},
    ]
    wanted = of_document({"items": items}, LIMITS)
    assert [p.code for p in wanted.pictures if isinstance(p, Fault)] == [
        "base64",
        "url",
        "prompt",
        "too-large",
    ]
    assert wanted.pictures[4] == Address("https://x/y")
    assert wanted.prompts == [None, None, None, None, "five!"]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (Part("rewards", b""), "part 1: 'rewards' is not known here; did you mean reward?"),
        (Part("model", b""), "'model' is not known .* fields are image, prompt, reward, detail"),
        (Part("<" * 5_000, b""), f"part 1: '{'<' * 40}' is not known here"),
        (Part("prompt", b"\xff"), "a part prompt is not UTF-8"),
        (Part("reward", b"\xff"), "a part reward is not UTF-8"),
        (Part("detail", b"all"), "detail must be one of maps, words, deviations"),
        (Part("image", b"", PIXELS), "needs dtype"),
        (Part("image", b"", PIXELS, SIZE | {"dtype": "int8"}), "needs dtype"),
        (Part("image", b"", PIXELS, SIZE | {"height": "0"}), "needs height"),
        (Part("image", b"", PIXELS, SIZE | {"height": "-1"}), "needs height"),
        (Part("image", b"", PIXELS, SIZE | {"width": "²"}), "needs width"),
        (Part("image", b"", PIXELS, SIZE | {"width": "1" * 5_000}), "needs width"),
        (Part("image", b"", PIXELS, {"dtype": "uint8", "height": "1"}), "needs width"),
    ],
)
def test_a_form_with_a_part_that_says_nothing_is_refused(part: Part, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        of_parts([part], LIMITS)


def test_no_file_name_of_a_form_is_ever_looked_at() -> None:
    named = Part("image", b"file", "image/png", {"filename": "/etc/passwd"})
    assert of_parts([named], LIMITS).pictures == [Picture(data=b"file")]
