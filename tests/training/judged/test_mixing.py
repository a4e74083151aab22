import time
from fractions import Fraction
from itertools import chain, pairwise

import numpy as np
import pytest

from beholder.errors import ConfigError
from beholder.training.judged.data import PairStream
from beholder.training.judged.mixing import (
    MixedEpochs,
    Mixture,
    Source,
    Turns,
    check_sources,
    shares,
)
from tests.training.judged.test_data import asked, many

THIRDS = [Fraction(1, 3)] * 3


def singly(*sizes: int) -> list[list[list[list[int]]]]:
    """Sets of single rows, numbered through, each row a group of its own."""
    starts = np.cumsum([0, *sizes]).tolist()
    return [
        [[[row]] for row in range(start, start + size)]
        for start, size in zip(starts, sizes, strict=False)
    ]


def random_shares(seed: int) -> list[Fraction]:
    random = np.random.default_rng(seed)
    parts = random.integers(1, 10 ** random.integers(1, 4), size=random.integers(2, 9)).tolist()
    return [Fraction(part, sum(parts)) for part in parts]


@pytest.mark.parametrize("seed", range(30))
def test_every_set_has_its_share_of_every_beginning(seed: int) -> None:
    parts = random_shares(seed)
    most = 1 if len(parts) < 4 else 2
    turns = Turns(parts)
    before = [0] * len(parts)
    for number in range(1, 400):
        had = turns.had(number)
        assert sum(had) == number
        off = [abs(count - part * number) for count, part in zip(had, parts, strict=True)]
        assert max(off) < most
        assert sum(now - then for now, then in zip(had, before, strict=True)) == 1
        assert min(now - then for now, then in zip(had, before, strict=True)) == 0
        before = had


def test_turns_can_be_asked_for_in_any_order_and_far_ahead() -> None:
    parts = random_shares(3)
    far = 10**12 + 7
    one, other = Turns(parts), Turns(parts)
    asked_late = [one.had(n) for n in (far, 5, 300, 17)]
    assert [other.had(n) for n in (5, 17, 300, far)] == [
        asked_late[1],
        asked_late[3],
        asked_late[2],
        asked_late[0],
    ]
    assert all(
        abs(count - part * far) < 2 for count, part in zip(asked_late[0], parts, strict=True)
    )


def test_two_sets_take_turns_as_worked_out_by_hand() -> None:
    # shares 3/4 and 1/4: the second set's turn has to come within the first four
    turns = Turns([Fraction(3, 4), Fraction(1, 4)])
    firsts = [turns.had(n)[0] for n in range(9)]
    steps = [b - a for a, b in pairwise(firsts)]
    assert sum(steps[:4]) == 3
    assert steps[4:] == steps[:4]


@pytest.mark.parametrize("size", [1, 3, 8, 20])
def test_a_batch_holds_each_share_as_nearly_as_it_can(size: int) -> None:
    parts = [Fraction(1, 2), Fraction(3, 10), Fraction(1, 5)]
    order = MixedEpochs(singly(40, 30, 10), parts, size, seed=0)
    seen = np.zeros(3, int)
    for number in range(50):
        rows = np.array(order.rows(number))
        counts = np.bincount(np.searchsorted([40, 70], rows, side="right"), minlength=3)
        assert counts.sum() == size
        exact = np.array([float(part) for part in parts]) * size
        assert np.abs(counts - exact).max() < 2
        seen += counts
        assert np.abs(seen - exact * (number + 1)).max() < 1


def test_an_epoch_of_a_set_is_visited_wholly_before_it_repeats() -> None:
    sizes = (11, 7, 3)
    order = MixedEpochs(singly(*sizes), THIRDS, 4, seed=1)
    visited = list(chain.from_iterable(order.rows(n) for n in range(60)))
    start = 0
    for size in sizes:
        own = [row for row in visited if start <= row < start + size]
        epochs = [own[at : at + size] for at in range(0, len(own) - size + 1, size)]
        assert len(epochs) >= 7
        assert all(sorted(epoch) == list(range(start, start + size)) for epoch in epochs)
        assert len(set(map(tuple, epochs))) > 1
        start += size


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    one, other, third = (MixedEpochs(singly(9, 5), [Fraction(1, 2)] * 2, 4, s) for s in (0, 0, 1))
    late = {n: one.rows(n) for n in (30, 2, 17)}
    assert {n: other.rows(n) for n in (2, 17, 30)} == late
    assert {n: third.rows(n) for n in (2, 17, 30)} != late


def test_sets_by_size_end_their_epochs_together() -> None:
    parts = [Fraction(30, 40), Fraction(10, 40)]
    order = MixedEpochs(singly(30, 10), parts, 8, seed=0)
    assert order.batches == 5
    assert sorted(chain.from_iterable(order.rows(n) for n in range(5))) == list(range(40))


def test_units_of_several_rows_stay_whole_and_fill_a_batch_on_average() -> None:
    rankings = [[list(range(6 * k, 6 * k + 6))] for k in range(10)]
    pairs = [[[60 + k]] for k in range(20)]
    order = MixedEpochs([rankings, pairs], [Fraction(1, 2)] * 2, 36, seed=0)
    sizes = []
    for number in range(20):
        rows = order.rows(number)
        sizes.append(len(rows))
        firsts = [row for row in rows if row < 60 and row % 6 == 0]
        assert all(rows[rows.index(f) : rows.index(f) + 6] == list(range(f, f + 6)) for f in firsts)
        assert sum(row < 60 for row in rows) == 6 * len(firsts)
        assert sum(row < 60 for row in rows) == 18
    assert set(sizes) == {36}


def test_shares_are_of_rows_whatever_a_unit_holds() -> None:
    """360 single pairs and 10 rankings of 36 pairs each: one epoch has each of them once."""
    pairs = [[[row]] for row in range(360)]
    rankings = [[list(range(start, start + 36))] for start in range(360, 720, 36)]
    order = MixedEpochs([pairs, rankings], [Fraction(1, 2)] * 2, 32, seed=0)
    seen = list(chain.from_iterable(order.rows(n) for n in range(10 * order.batches)))
    assert sum(row < 360 for row in seen) / len(seen) == pytest.approx(1 / 2, abs=0.01)
    assert len(seen) / 10 == pytest.approx(720, rel=0.04)  # batches are whole, epochs are not
    counts = np.bincount(seen, minlength=720)
    assert 9 <= counts.min() <= counts.max() <= 11


def test_visits_tell_how_often_a_row_comes_in_a_batch() -> None:
    rankings = [[list(range(6 * k, 6 * k + 6))] for k in range(10)]
    pairs = [[[60 + k]] for k in range(20)]
    order = MixedEpochs([rankings, pairs], [Fraction(1, 2)] * 2, 36, seed=0)
    counts = np.bincount(list(chain.from_iterable(order.rows(n) for n in range(100))))
    assert order.visits == (counts[0] / 100, counts[60] / 100) == (0.3, 0.9)


def test_millions_of_turns_are_told_at_once_and_remembered_nowhere() -> None:
    turns = Turns(
        [Fraction(1, 1_000_003), Fraction(400_001, 1_000_003), Fraction(600_001, 1000003)]
    )
    began = time.process_time()
    for number in range(10**9, 10**9 + 1000):
        assert sum(turns.had(number)) == number
    assert time.process_time() - began < 1
    before = turns.had(10**6)
    assert (turns.had(7), turns.had(10**6)) == (turns.had(7), before)


def test_a_stream_of_two_sets_draws_from_both_and_keeps_rankings_whole() -> None:
    pairs = asked(12)
    rows = [[k for k in range(len(pairs)) if k // 6 < 4], [k for k in range(72) if k // 6 >= 4]]
    mixture = Mixture(rows, [Fraction(1, 2)] * 2)
    stream = PairStream(pairs, ["overall"], 24, seed=0, ranked=True, mixture=mixture)
    for number in range(8):
        batch = stream.batch(number)
        assert batch.rankings["overall"].ranks.tolist() == [[1, 2, 3, 4]] * 4
        first = sum(int(prompt.split()[1]) < 4 for prompt in batch.prompts)
        assert (first, len(batch.prompts)) == (2, 4)


def test_no_pair_of_a_mixture_is_lost() -> None:
    pairs = many(6)
    mixture = Mixture([range(24), range(24, 36)], [Fraction(2, 3), Fraction(1, 3)])
    stream = PairStream(pairs, ["overall"], 6, seed=0, mixture=mixture)
    seen = {
        (batch.pictures[i], batch.pictures[j])
        for batch in map(stream.batch, range(6))
        for i, j in batch.edges["overall"].pairs.tolist()
    }
    assert seen == {(p.first, p.second) for p in pairs}


def source(share: float | None = None) -> Source:
    return Source(preferences="folder", share=share)


def test_shares_are_given_or_come_by_size_or_equal() -> None:
    sizes = {"a": 30, "b": 10}
    given = {"a": source(0.3), "b": source(0.1)}
    assert shares(given, sizes, "size") == [Fraction(3, 4), Fraction(1, 4)]
    without = {"a": source(), "b": source()}
    assert shares(without, sizes, "size") == [Fraction(3, 4), Fraction(1, 4)]
    assert shares(without, sizes, "equal") == [Fraction(1, 2)] * 2
    assert shares({"a": source(0.7), "b": source(0.3)}, sizes, "size")[0] == Fraction(7, 10)


def test_shares_for_some_sets_alone_are_refused() -> None:
    with pytest.raises(ConfigError, match="mix: a have a share and b none"):
        check_sources({"a": source(0.5), "b": source()}, "size")
    with pytest.raises(ConfigError, match="balance is 'equal'"):
        check_sources({"a": source(0.5)}, "equal")
    with pytest.raises(ConfigError, match="needs several data sets"):
        check_sources({}, "equal")
    with pytest.raises(ConfigError, match="a slash"):
        check_sources({"a/b": source()}, "size")
    with pytest.raises(ConfigError, match="share must be above 0"):
        source(0.0)
