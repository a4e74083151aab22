import numpy as np
import pytest

from beholder.annotation.asking.candidates import Candidates
from beholder.annotation.asking.gains import FixedGain, Meetings
from beholder.annotation.asking.worth import Worth
from tests.annotation.asking.pools import pool


def worth_of(
    candidates: Candidates,
    gains: list[float],
    *,
    prompt_decay: float = 1.0,
    picture_decay: float = 1.0,
    balance: float = 0.0,
    per_prompt: int | None = None,
    seed: int = 0,
) -> Worth:
    return Worth(
        candidates,
        Meetings(candidates),
        FixedGain(np.array(gains)),
        prompt_decay=prompt_decay,
        picture_decay=picture_decay,
        balance=balance,
        per_prompt=per_prompt,
        rng=np.random.default_rng(seed),
    )


def taken(worth: Worth) -> list[int]:
    rows = []
    while (row := worth.best()) is not None:
        worth.take(row)
        rows.append(row)
    return rows


# prompt x has pairs 0: (0, 1), 1: (0, 2), 2: (1, 2); prompt y has pair 3: (3, 4)
FOXES = pool("xxxyy")


def test_without_decay_pairs_come_by_their_gain() -> None:
    assert taken(worth_of(FOXES, [0.3, 0.6, 0.1, 0.4])) == [1, 3, 0, 2]


def test_a_prompt_that_was_chosen_is_worth_less() -> None:
    """After 1, halves: 0 is worth 0.25 and 2 0.2, so 3 comes before both."""
    assert taken(worth_of(FOXES, [0.5, 0.6, 0.4, 0.26], prompt_decay=0.5)) == [1, 3, 0, 2]


def test_each_picture_that_was_chosen_counts() -> None:
    """After 0: (0, 1) both others share one picture; after 3 and 1 pair 2 shares one each time."""
    worth = worth_of(FOXES, [0.6, 0.5, 0.5, 0.3], picture_decay=0.5)
    assert worth.take(0) == 0.6
    assert worth.best() == 3
    worth.take(1)
    assert taken(worth) == [3, 2]


def test_no_more_than_so_many_of_a_prompt() -> None:
    assert taken(worth_of(FOXES, [0.5, 0.6, 0.4, 0.1], per_prompt=2)) == [1, 0, 3]


def test_balance_shares_pairs_out_over_checkpoints() -> None:
    """Gains 2 : 1 and worth / (1 + times): twice as many of the first meeting."""
    prompts = [f"{k}" for k in range(90) for _ in range(2)]
    checkpoints = ["a", "b"] * 60 + ["a", "c"] * 30
    candidates = pool(prompts, checkpoints=checkpoints)
    worth = worth_of(candidates, [0.4] * 60 + [0.2] * 30, balance=1.0)
    rows = [row for _ in range(30) if (row := worth.best()) is not None and worth.take(row)]
    assert sum(row < 60 for row in rows) == pytest.approx(20, abs=1)


def test_equals_are_drawn_by_lot() -> None:
    first = {worth_of(FOXES, [0.5] * 4, seed=seed).best() for seed in range(50)}
    assert first == {0, 1, 2, 3}


def test_the_order_of_one_prompt_survives_thousands_of_decays() -> None:
    candidates = pool("x" * 60)
    gains = np.random.default_rng(0).permutation(len(candidates)) / len(candidates)
    rows = taken(worth_of(candidates, gains.tolist(), prompt_decay=0.5))
    assert rows == np.argsort(-gains).tolist()


def test_pairs_without_gain_come_last_but_come() -> None:
    assert taken(worth_of(FOXES, [0.0, 0.1, 0.0, 0.2]))[:2] == [3, 1]
    assert len(taken(worth_of(FOXES, [0.0] * 4))) == 4
