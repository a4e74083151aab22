"""Bounded requests, several at once, from one model, in order."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from beholder.errors import ServerError
from beholder.rewards._remote.address import parsed
from beholder.rewards._remote.asking import IN_FLIGHT, MOST_BYTES, MOST_PICTURES, Asking, shares
from beholder.rewards._remote.identity import CHANGED, HEADER, digest_of
from beholder.rewards._remote.pixels import marked, raw
from beholder.rewards._remote.retries import Retries
from beholder.rewards._remote.reward import RemoteReward
from beholder.rewards._remote.served import served_of
from beholder.rewards._remote.session import Session
from tests.rewards.remote.servers import Desk, serving
from tests.rewards.simple import Mean, Red


@pytest.fixture
def desk() -> Iterator[Desk]:
    with serving({"red": Red(), "mean": Mean()}) as desk:
        yield desk


def asking(desk: Desk, name: str = "red") -> Asking:
    retries = Retries(patience=20, first=0.001, most=0.01)
    session = Session(address=parsed(f"{desk.address}/{name}"), retries=retries)
    body = session.get("/v1/rewards", absent=5).body
    (served,) = (one for one in served_of(body, RemoteReward.card) if one.name == name)
    return Asking(session, served)


def greys(count: int, side: int = 2) -> Tensor:
    return torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, side, side)


def totals(asking: Asking, count: int, prompts: list[str] | None = None) -> list[float]:
    pictures = [raw(row) for row in marked(greys(count))]
    return [row.total * 255 for row in asking.rows(pictures, prompts or ["a"] * count)]


@pytest.mark.parametrize("count", [1, 3, 4, 10, 33, 100])
def test_shares_are_whole_bounded_and_spread_over_the_requests(count: int) -> None:
    found = shares([100] * count)
    assert [at for start, end in found for at in range(start, end)] == list(range(count))
    sizes = [end - start for start, end in found]
    assert max(sizes) <= MOST_PICTURES
    assert len(found) >= min(count, IN_FLIGHT) - 1


def test_large_pictures_travel_in_few_and_the_largest_alone() -> None:
    third, whole = MOST_BYTES // 3, 2 * MOST_BYTES
    assert shares([third] * 16) == [(k, min(k + 3, 16)) for k in range(0, 16, 3)]
    assert shares([1, whole, 1] + [1] * 13)[:3] == [(0, 1), (1, 2), (2, 6)]


def test_rows_come_in_order_from_several_requests_at_once(desk: Desk) -> None:
    met = threading.Barrier(IN_FLIGHT)

    def wait_for_the_others(picture: Tensor) -> None:
        if int(picture[0, 0, 0]) % 8 == 0:  # the first of each request
            met.wait(20)

    desk.fault = wait_for_the_others
    assert totals(asking(desk), 32) == pytest.approx(list(range(32)))
    assert [len(one.pictures) for one in desk.scoring()] == [8] * 4


def test_prompts_stay_with_their_pictures_and_travel_as_they_are(desk: Desk) -> None:
    prompts = ["", "two\nlines\r\n", "é 猫 🐈", 'a "quoted" --part', "x" * 20_000, " "]
    totals(asking(desk), 6, prompts)
    sent = {int(p[0, 0, 0]): t for one in desk.scoring() for p, t in pairs(one)}
    assert [sent[k] for k in range(6)] == prompts


def pairs(asked: Any) -> list[tuple[Tensor, str]]:
    return list(zip(asked.pictures, asked.prompts, strict=True))


def test_a_reward_without_need_of_prompts_is_sent_none(desk: Desk) -> None:
    assert totals(asking(desk, "mean"), 3, ["secret"] * 3) == pytest.approx([0, 1, 2])
    assert all(one.prompts == [] and one.rewards == ["mean"] for one in desk.scoring())


def test_what_is_too_much_for_the_server_goes_in_halves(desk: Desk) -> None:
    desk.most = 1
    assert totals(asking(desk), 20) == pytest.approx(list(range(20)))
    desk.most = 0
    rows = asking(desk).rows([raw(row) for row in marked(greys(2))], ["a", "a"])
    assert all(row.error.startswith("too-large: the server at") for row in rows)


def test_errors_of_pictures_are_theirs_alone(desk: Desk) -> None:
    desk.fault = lambda picture: ("worker-died", "killed") if picture[0, 0, 0] == 5 else None
    rows = asking(desk).rows([raw(row) for row in marked(greys(9))], ["a"] * 9)
    assert [k for k, row in enumerate(rows) if row.error] == [5]
    assert rows[5].error == "worker-died: killed"


def test_another_model_is_never_mixed_in(desk: Desk) -> None:
    mine = asking(desk)
    assert totals(mine, 2) == pytest.approx([0, 1])
    desk.identity = "f" * 64
    digest = digest_of(mine.served.identity)[:12]
    told = rf"\(identity {digest} then, f{{12}} now\); nothing was mixed"
    with pytest.raises(ServerError, match=told):
        totals(mine, 2)
    desk.identity = "-"
    with pytest.raises(ServerError, match="does not say what it scores with"):
        totals(mine, 2)
    desk.identity = None
    assert totals(mine, 2) == pytest.approx([0, 1])


def test_an_answer_of_two_models_is_asked_for_again(desk: Desk) -> None:
    mine = asking(desk)
    desk.plan[:] = [(200, {"results": []}, {HEADER: f"red={CHANGED}"})] * 2
    assert totals(mine, 1) == pytest.approx([0])
    desk.plan[:] = [(200, {"results": []}, {HEADER: f"red={CHANGED}"})] * 3
    with pytest.raises(ServerError, match="nothing was mixed"):
        totals(mine, 1)


def test_the_first_failure_ends_the_others(desk: Desk) -> None:
    mine = asking(desk)
    away = {"Retry-After": "15"}
    desk.plan[:] = [(503, {}, away), (503, {}, away), (503, {}, away), (422, {}, {})]
    with pytest.raises(ServerError, match="status 422"):
        totals(mine, 8)
