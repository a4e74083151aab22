import pytest

from beholder.training.epochs import Epochs

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
