"""What a person reads of a sharded run fits a screen and names what is wrong."""

from beholder._verbs.score_text import sharded_text, verified_text
from beholder.rewards.sharded.running import ShardedSummary
from beholder.rewards.sharded.verifying import Verified


def test_shards_that_were_given_up_are_told_with_their_reason() -> None:
    summary = ShardedSummary(
        rows=50,
        shards=7,
        done_before=2,
        scored=4,
        failed={"a": "cut off\n(attempt 3)"},
        errors={"mps": {"truncated": 2}},
        seconds=1.25,
    )
    assert sharded_text(summary, "out").splitlines() == [
        "out: 50 rows in 6 of 7 shards; shards: 4 scored now, 2 before, 1 given up, 1.2 s",
        "  mps: 2 file cut off before its end",
        "  given up: a: cut off (attempt 3)",
    ]


def test_a_long_list_is_cut_short() -> None:
    found = Verified(
        shards=20,
        rows=5,
        errors={},
        missing=[f"s{k}" for k in range(12)],
        failed={},
        faults={"x": "damaged"},
        repeated=["k"],
        strange=["y"],
    )
    lines = verified_text(found, "out").splitlines()
    assert lines[0] == "out: not every input has its row; 5 rows in 8 of 20 shards"
    assert lines[10:] == [
        "  missing: s9",
        "  missing: 2 more; see --json",
        "  not in order: x: damaged",
        "  key in several shards: k",
        "  not in the plan: y",
        "  the command that scored them goes on with what is missing",
    ]


def test_a_source_that_is_not_as_planned_is_said() -> None:
    found = Verified(
        shards=1,
        rows=1,
        errors={},
        missing=[],
        failed={},
        faults={},
        repeated=[],
        strange=[],
        changed="it has\na file more",
    )
    assert verified_text(found, "out").splitlines() == [
        "out: not every input has its row; 1 rows in 1 of 1 shards",
        "  the source is not as planned: it has a file more",
    ]
