"""Sides of a comparison take turns, and each is timed by itself."""

from benchmarks._rounds import interleaved


def test_sides_take_turns_and_each_gets_its_own_seconds() -> None:
    now, order = 0.0, []

    def work(name: str, seconds: float) -> None:
        nonlocal now
        now += seconds
        order.append(name)

    sides = {"ours": lambda: work("ours", 1.0), "theirs": lambda: work("theirs", 3.0)}
    assert interleaved(sides, 2, lambda: now) == {"ours": [1.0, 1.0], "theirs": [3.0, 3.0]}
    assert order == ["ours", "theirs", "ours", "theirs"]
