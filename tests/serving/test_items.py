"""The words of the server need no model, and the stand-in of the tests keeps to them."""

import asyncio

import pytest

from beholder.serving.items import Fault, Item, Picture
from beholder.serving.refusals import DeadlineError, NotReadyError, QueueFullError
from tests.serving.fakes import FakeBackend, png


def item(picture: Picture | Fault) -> Item:
    return Item(picture=picture, prompt=None, rewards=("light",))


def test_each_item_has_an_answer_with_scores_or_the_reason_for_every_reward() -> None:
    pixels = Picture(data=bytes([51]) * 12, encoding="uint8", height=2, width=2)
    items = [item(Picture(data=png(102))), item(pixels), item(Fault("url", "refused"))]
    answers = asyncio.run(FakeBackend().score(items, timeout=1))
    assert [a.scores["light"].total for a in answers[:2]] == pytest.approx([0.4, 0.2])
    assert answers[2].faults == {"light": Fault("url", "refused")}
    assert not answers[2].scores


def test_the_stand_in_refuses_as_a_pool_does() -> None:
    items = [item(Picture(data=png()))] * 2
    for backend, error in [
        (FakeBackend(unready_because="loading"), NotReadyError),
        (FakeBackend(queue=1), QueueFullError),
        (FakeBackend(seconds=5), DeadlineError),
    ]:
        with pytest.raises(error):
            asyncio.run(backend.score(items, timeout=0.01))
