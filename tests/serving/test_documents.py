"""What /v1/score takes: strictly, and told by its place when it is wrong."""

import time

import pytest

from beholder.serving import documents
from beholder.serving.documents import ItemAsked, ScoreAsked
from beholder.serving.refusals import MalformedError, TooLargeError

PIXELS = {"data": "AAAA", "dtype": "uint8", "height": 1, "width": 1}


def asked(document: object) -> ScoreAsked:
    return documents.asked(document, 256)


def test_each_form_of_a_picture_is_taken_with_or_without_prompt() -> None:
    document = {
        "items": [
            {"image": "AA=="},
            {"image_url": "https://x/y"},
            {"pixels": PIXELS, "prompt": ""},
        ],
        "rewards": ["mps"],
        "detail": ["maps", "maps"],
    }
    request = asked(document)
    assert [item.image for item in request.items] == ["AA==", None, None]
    assert request.items[2].pixels is not None
    assert [item.prompt for item in request.items] == [None, None, ""]
    assert (request.rewards, request.detail) == (["mps"], ["maps", "maps"])
    assert asked({"items": [{"image": "", "prompt": None}]}) == ScoreAsked(
        items=[ItemAsked(image="")]
    )


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "the body: must be an object"),
        ({}, "items: is missing"),
        ({"items": []}, "items: must not be empty"),
        ({"items": {}}, "items: must be a list"),
        ({"items": [{}]}, "items.0: give exactly one of image, image_url and pixels"),
        ({"items": [{"image": "", "image_url": ""}]}, "items.0: give exactly one"),
        ({"items": [{"image": 3}]}, "items.0.image: must be text"),
        ({"items": [{"image": "", "prompt": 3}]}, "items.0.prompt: must be text"),
        (
            {"items": [{"image": "", "promt": ""}]},
            "items.0.promt: is not known here; did you mean prompt?",
        ),
        ({"items": [{"image": ""}], "reward": []}, "did you mean rewards?"),
        ({"items": [{"pixels": PIXELS | {"dtype": "int8"}}]}, "items.0.pixels.dtype"),
        ({"items": [{"pixels": PIXELS | {"height": 0}}]}, "items.0.pixels.height"),
        ({"items": [{"pixels": PIXELS | {"height": "1"}}]}, "items.0.pixels.height"),
        ({"items": [{"pixels": PIXELS | {"height": True}}]}, "items.0.pixels.height"),
        ({"items": [{"pixels": PIXELS | {"width": 1.0}}]}, "items.0.pixels.width"),
        ({"items": [{"pixels": PIXELS | {"width": 10**300}}]}, "items.0.pixels.width"),
        ({"items": [{"image": ""}], "rewards": []}, "rewards: must not be empty"),
        ({"items": [{"image": ""}], "rewards": ["a"] * 65}, "rewards: "),
        ({"items": [{"image": ""}], "detail": ["all"]}, "detail.0: input should be 'maps'"),
        ({"items": [{"image": ""}], "detail": "maps"}, "detail: must be a list"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(document: object, why: str) -> None:
    with pytest.raises(MalformedError) as caught:
        asked(document)
    assert why in str(caught.value)


def test_no_message_quotes_a_prompt_a_picture_or_a_strange_key() -> None:
    bad = {"image": ["SECRET"], "prompt": {"SECRET": 1}, "pixels": "SECRET", "SE CRET" * 20: 1}
    with pytest.raises(MalformedError) as caught:
        asked({"items": [bad, "SECRET"], "rewards": "SECRET", "detail": ["SECRET"]})
    assert "SECRET" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_keys_of_strangers_are_escaped_and_cut() -> None:
    with pytest.raises(MalformedError, match=r"'a\\x1bb': is not known") as caught:
        asked({"items": [{"image": ""}], "a\x1bb": 1})
    assert "\x1b" not in str(caught.value)


def test_three_mistakes_are_told_and_the_rest_counted() -> None:
    with pytest.raises(MalformedError, match=r"and 2 more$"):
        asked({"items": [{}] * 5})
    with pytest.raises(MalformedError, match="the body has 51 mistakes"):
        asked({"items": [{}] * 51})


@pytest.mark.parametrize(
    "document",
    [
        {"items": [{}] * 300_000},
        {"items": [{str(k): 0 for k in range(1_000)}] * 256},
        {"items": [{"pixels": {str(k): 0 for k in range(1_000)}}] * 256},
        {str(k): 0 for k in range(300_000)},
        {"items": [{"image": ""}], "rewards": [0] * 300_000},
        {"items": [{"image": ""}], "detail": [0] * 300_000},
        {"items": [{"image": {"a": [0] * 300_000}, "prompt": [0] * 300_000}] * 256},
    ],
    ids=["items", "keys", "keys of pixels", "keys of the body", "rewards", "detail", "values"],
)
def test_a_request_of_nothing_but_mistakes_is_refused_at_once(document: object) -> None:
    began = time.process_time()
    with pytest.raises((MalformedError, TooLargeError)) as caught:
        asked(document)
    assert time.process_time() - began < 0.5
    assert len(str(caught.value)) < 300
