import pytest

from beholder.training.judged.epochs import Epochs, WholeEpochs, shuffled

GROUPS = [[0, 1, 2], [3], [4, 5], [6]]


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_an_epoch_has_each_row_once(size: int) -> None:
    epochs = Epochs(GROUPS, size, seed=0)
    for epoch in (0, 1):
        numbers = range(epoch * epochs.batches, (epoch + 1) * epochs.batches)
        assert sorted(row for n in numbers for row in epochs.rows(n)) == list(range(7))


def test_only_the_last_batch_of_an_epoch_is_smaller() -> None:
    epochs = Epochs(GROUPS, 3, seed=0)
    assert [len(epochs.rows(n)) for n in range(6)] == [3, 3, 1, 3, 3, 1]


def test_rows_of_a_group_stay_together_in_an_order_of_their_own() -> None:
    orders = [Epochs(GROUPS, 7, seed).rows(0) for seed in range(20)]
    places = [[order.index(row) for row in (0, 1, 2)] for order in orders]
    assert all(max(three) - min(three) == 2 for three in places)
    assert len({tuple(row for row in order if row < 3) for order in orders}) > 1


def test_a_batch_depends_on_number_and_seed_alone() -> None:
    one, two, other = (Epochs([[k] for k in range(20)], 6, seed) for seed in (0, 0, 1))
    assert [one.rows(n) for n in (9, 2)] == [two.rows(n) for n in (2, 9)][::-1]
    assert one.rows(0) != other.rows(0)
    assert one.rows(0) != one.rows(one.batches)


UNITS = [[[0, 1, 2], [3]], [[4, 5, 6, 7]], [[8, 9], [10], [11, 12]]]


@pytest.mark.parametrize("size", [1, 3, 4, 6, 50])
def test_units_are_never_torn_and_each_comes_once_an_epoch(size: int) -> None:
    epochs = WholeEpochs(UNITS, size, seed=2)
    for epoch in range(5):
        numbers = range(epoch * epochs.batches, (epoch + 1) * epochs.batches)
        batches = [epochs.rows(n) for n in numbers]
        assert all(batches)
        assert sorted(row for batch in batches for row in batch) == list(range(13))
        for unit in (unit for group in UNITS for unit in group):
            (owner,) = (batch for batch in batches if unit[0] in batch)
            at = owner.index(unit[0])
            assert owner[at : at + len(unit)] == unit


def test_whole_batches_are_of_the_size_asked_for_give_or_take_a_unit() -> None:
    epochs = WholeEpochs([[list(range(6 * k, 6 * k + 6))] for k in range(50)], 20, seed=0)
    assert epochs.batches == 15
    assert {len(epochs.rows(n)) for n in range(30)} == {18, 24}


def test_a_unit_larger_than_a_batch_makes_batches_as_large() -> None:
    epochs = WholeEpochs([[list(range(10))], *([[10 + k]] for k in range(20))], 4, seed=0)
    sizes = [len(epochs.rows(n)) for n in range(epochs.batches)]
    assert sum(sizes) == 30
    assert epochs.batches == 3
    assert min(sizes) > 0


def test_whole_batches_depend_on_number_and_seed_alone() -> None:
    one, two, other = (WholeEpochs(UNITS, 4, seed) for seed in (0, 0, 1))
    assert [one.rows(n) for n in (9, 2)] == [two.rows(n) for n in (2, 9)][::-1]
    assert [one.rows(n) for n in range(6)] != [other.rows(n) for n in range(6)]


def test_shuffling_keeps_groups_together_and_all_there() -> None:
    order = shuffled([["a", "b"], ["c"], ["d", "e", "f"]], (4, 0))
    assert sorted(order) == list("abcdef")
    assert abs(order.index("a") - order.index("b")) == 1
    places = sorted(order.index(name) for name in "def")
    assert places == list(range(places[0], places[0] + 3))
