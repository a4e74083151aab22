import numpy as np
import pytest

from beholder.errors import ConfigError
from beholder.eval._report.choice import Scored, choose


def scored(prompts: int, checkpoints: int, seed: int = 0) -> Scored:
    """Row k is prompt k // checkpoints by checkpoint k % checkpoints."""
    rows = np.arange(prompts * checkpoints)
    return Scored(
        scores=np.random.default_rng(seed).normal(size=len(rows)),
        checkpoints=rows % checkpoints,
        cells=(rows // checkpoints).astype(np.uint64),
    )


def test_all_rows_with_a_score_are_chosen_if_they_fit() -> None:
    table = scored(4, 2)
    table.scores[3] = np.nan
    assert sorted(choose(table, count=7).tolist()) == [0, 1, 2, 4, 5, 6, 7]
    assert choose(table, count=7, first=[5, 3]).tolist()[0] == 5, "3 has no score"


def test_each_checkpoint_gives_its_highest_with_the_rest_of_its_cell_first() -> None:
    table = scored(100, 3)
    chosen = choose(table, count=12, first=[17]).tolist()
    assert chosen[0] == 17
    best = int(np.arange(0, 300, 3)[np.argmax(table.scores[::3])])
    assert chosen[1] == best
    assert set(range(best, best + 3)) <= set(chosen)
    second = int(np.arange(1, 300, 3)[np.argmax(table.scores[1::3])])
    assert second in chosen


def test_lowest_middle_and_random_rows_are_chosen_too() -> None:
    table = scored(400, 1)
    chosen = choose(table, count=8).tolist()
    order = np.argsort(table.scores)
    assert {int(order[0]), int(order[1]), int(order[-1]), int(order[-2])} <= set(chosen)
    middle = np.argsort(np.abs(table.scores - np.median(table.scores)))[:2]
    assert set(map(int, middle)) <= set(chosen)
    assert len(set(chosen)) == 8


def test_the_same_seed_chooses_the_same_rows_and_another_others() -> None:
    table = scored(300, 2)
    first, again, other = (choose(table, count=40, seed=seed).tolist() for seed in (1, 1, 2))
    assert first == again
    assert set(first) != set(other)
    assert len(set(first)) == len(first) == 40


def test_a_gallery_without_pictures_is_refused() -> None:
    with pytest.raises(ConfigError, match="show 1 or more"):
        choose(scored(1, 1), count=0)
