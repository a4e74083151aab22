"""The next shard is opened while the rows of the one before are read."""

import threading

import pytest

from beholder._run_folder import Shard
from beholder.rewards.sharded.opening import Opening

SHARDS = [Shard(name=name, kind="list", source="s") for name in "abc"]


def test_the_next_is_fetched_while_the_present_is_read_and_no_more() -> None:
    begun = {name: threading.Event() for name in "abc"}

    def fetch(shard: Shard) -> str:
        begun[shard.name].set()
        return shard.name

    opening = Opening(SHARDS, fetch)
    each = iter(opening)
    _, first = next(each)
    assert first.result() == "a"
    assert not begun["b"].is_set()
    opening.look()
    opening.look()
    assert begun["b"].wait(60)
    assert not begun["c"].is_set()
    assert [shard.name for shard, _ in each] == ["b", "c"]


def test_a_shard_that_is_not_there_yet_is_asked_for_again() -> None:
    opening = Opening(iter([SHARDS[0], None, SHARDS[1]]), lambda shard: shard.name)
    each = iter(opening)
    assert next(each)[1].result() == "a"
    opening.look()  # None yet
    assert next(each)[1].result() == "b"
    assert list(each) == []


def test_what_opening_raises_is_raised_where_the_rows_are_asked() -> None:
    def fails(shard: Shard) -> None:
        raise KeyError(shard.name)

    ((_, rows),) = Opening(SHARDS[:1], fails)
    with pytest.raises(KeyError, match="a"):
        rows.result()
