"""Exit codes and rewards of a sharded run, from what was found and what was typed."""

from dataclasses import replace

import pytest
import typer

from beholder import _terminal as terminal
from beholder._verbs.score_sharded import leave, pool, reward_specs
from beholder.rewards.sharded.verifying import Verified

SOUND = Verified(
    shards=2, rows=4, errors={"r": {}}, missing=[], failed={}, faults={}, repeated=[], strange=[]
)


def code(found: Verified) -> int:
    try:
        leave(found)
    except typer.Exit as leaving:
        return leaving.exit_code
    return terminal.OK


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (SOUND, terminal.OK),
        (replace(SOUND, errors={"r": {"empty": 1}}), terminal.SOME_ROWS_FAILED),
        (replace(SOUND, missing=["a"], failed={"a": "why"}), terminal.SOME_ROWS_FAILED),
        (replace(SOUND, missing=["a"]), terminal.FAILED),
        (replace(SOUND, changed="a file more"), terminal.FAILED),
        (replace(SOUND, missing=["a"], failed={"a": "w"}, repeated=["k"]), terminal.FAILED),
        (replace(SOUND, faults={"a": "damaged"}), terminal.FAILED),
        (replace(SOUND, strange=["b"]), terminal.FAILED),
    ],
)
def test_what_was_given_up_is_no_loss_of_rows_but_everything_else_is(
    found: Verified, expected: int
) -> None:
    assert code(found) == expected


def test_rewards_are_named_but_not_loaded() -> None:
    found = reward_specs(["mine=mps", "runs/a.b"], ["mine.threshold=0.01"])
    assert found == {"mine": ("mps", {"threshold": 0.01}), "a_b": ("runs/a.b", {})}


def test_workers_are_a_number_or_a_range() -> None:
    assert pool(None) == {}
    assert pool("4") == {"workers": 4, "most_workers": None}
    assert pool("2:16") == {"workers": 2, "most_workers": 16}
