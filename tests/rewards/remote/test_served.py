"""What a server says of its rewards is read with care."""

import json
from typing import Any

import pytest

import beholder
from beholder.errors import BeholderError, ServerError
from beholder.rewards._preprocess import Preprocess
from beholder.rewards._remote.fittings import Smaller, described
from beholder.rewards._remote.reward import RemoteReward
from beholder.rewards._remote.served import Served, served_of
from tests.rewards.remote.servers import info

PLAIN = RemoteReward.card


def told(**changes: object) -> dict[str, Any]:
    return {**info("tiny", beholder.load("tiny"), ()), **changes}


def read(said: object) -> Served:
    (found,) = served_of({"rewards": [json.loads(json.dumps(said))]}, PLAIN)
    return found


def test_the_card_is_that_of_the_reward_without_gradient() -> None:
    card, local = read(told()).card, beholder.load("tiny").card
    for fact in ("name", "measures", "weights_license", "score_range", "aspects", "needs_prompt"):
        assert getattr(card, fact) == getattr(local, fact)
    assert not card.differentiable
    assert card.notes == PLAIN.notes


def test_bounds_and_facts_that_are_left_out_are_unknown() -> None:
    said = {"name": "x", "reward": "y", "identity": {"a": 1}}
    found = read(said)
    assert found.card.score_range == (-float("inf"), float("inf"))
    assert (found.card.needs_prompt, found.card.aspects, found.details) == (True, (), ())
    assert found.fitting is None
    assert read(told(score_range=[None, 2])).card.score_range == (-float("inf"), 2.0)


def test_a_fitting_shrinks_only() -> None:
    fitting = Preprocess(size=16)
    assert read(told(fitting=described(fitting))).fitting == Smaller(fitting)
    assert read(told(fitting={"kind": "newer"})).fitting is None


def test_details_are_those_that_are_known() -> None:
    assert read(told(details=["words", "maps", "videos"])).details == ("maps", "words")


def test_the_first_is_the_default() -> None:
    names = [one.name for one in served_of({"rewards": [told(), told(name="b")]}, PLAIN)]
    assert names == ["tiny", "b"]


@pytest.mark.parametrize("body", [None, [], {}, {"rewards": {}}, {"rewards": "mps"}, "ok", 3])
def test_what_is_no_list_of_rewards_is_no_reward_server(body: object) -> None:
    with pytest.raises(ServerError, match="no reward server"):
        served_of(body, PLAIN)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "../mps"},
        {"name": "a,b=c"},
        {"name": 3},
        {"reward": "m\nps"},
        {"identity": None},
        {"identity": "sha"},
        {"aspects": ["total"]},
        {"aspects": ["a", "a"]},
        {"aspects": ["a\x1b[2J"]},
        {"aspects": ["x" * 65]},
        {"aspects": [1]},
        {"aspects": [str(k) for k in range(300)]},
        {"aspects": 7},
        {"details": [None]},
    ],
)
def test_a_reward_that_cannot_be_is_refused_in_one_plain_line(change: dict[str, object]) -> None:
    with pytest.raises(BeholderError, match="the server") as caught:
        read(told(**change))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_texts_for_people_hold_no_control_characters() -> None:
    assert read(told(measures="a\x1b[31mb\nc", weights_license=5)).card.measures == "a[31mbc"
