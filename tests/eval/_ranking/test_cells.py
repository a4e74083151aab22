import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import Floats
from beholder.eval._ranking import cells as module
from beholder.eval._ranking.cells import (
    Cells,
    Sums,
    by_prompt,
    cell_name,
    gather,
    in_all,
    layout,
)
from tests.eval._ranking.samples import cells, columns, random_rows, share


def scores_of(found: Cells, prompt: int, model: int) -> Floats:
    own: Floats = found.value[(found.prompt == prompt) & (found.model == model)]
    return own


@pytest.mark.parametrize("seed", range(5))
def test_what_a_prompt_adds_is_as_defined(seed: int) -> None:
    found = cells(random_rows(seed))
    sums = by_prompt(layout(found))
    for prompt in range(found.prompts):
        own = [scores_of(found, prompt, k) for k in range(3)]
        for k, (i, j) in enumerate(combinations(range(3), 2)):
            met = len(own[i]) > 0 and len(own[j]) > 0
            assert sums.met[prompt, k] == met
            assert sums.wins[prompt, k] == pytest.approx(share(own[i], own[j]) if met else 0)
            gap = own[i].mean() - own[j].mean() if met else 0
            assert sums.difference[prompt, k] == pytest.approx(gap)
        for k in range(3):
            assert sums.mean[prompt, k] == pytest.approx(own[k].mean() if len(own[k]) else 0)


@pytest.mark.parametrize("seed", range(5))
def test_weights_count_a_picture_so_often(seed: int) -> None:
    rows = random_rows(seed)
    found = cells(rows)
    weight = np.random.default_rng(seed).integers(0, 3, len(found.value)).astype(np.float64)
    times = weight.astype(int)
    repeated = replace(
        found,
        model=np.repeat(found.model, times),
        prompt=np.repeat(found.prompt, times),
        value=np.repeat(found.value, times),
        seed=np.repeat(found.seed, times),
    )
    expected = by_prompt(layout(repeated)).total()
    np.testing.assert_allclose(in_all(layout(found), weight).flat(), expected.flat(), atol=1e-12)


def test_pieces_of_prompts_add_up_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found = layout(cells(random_rows(1, prompts=12)))
    weight = np.ones(len(found.value))
    whole = in_all(found, weight).flat()
    monkeypatch.setattr(module, "_ROWS", 5)
    np.testing.assert_allclose(in_all(found, weight).flat(), whole, atol=1e-12)


def test_sums_split_into_what_was_put_together() -> None:
    sums = by_prompt(layout(cells(random_rows(0))))
    again = Sums.split(sums.flat(), 3)
    np.testing.assert_array_equal(again.wins, sums.wins)
    np.testing.assert_array_equal(again.difference, sums.difference)
    assert sums.total().mean.shape == (1, 3)


def test_pictures_are_sorted_and_the_rest_is_counted() -> None:
    rows = [("b", "q", 2.0), ("a", "p", 3.0), ("a", "q", math.nan), ("a", "q", 1.0), (None, "q", 1)]
    found = cells(rows)
    assert found.names == ["a", "b"]
    assert found.value.tolist() == [1.0, 2.0, 3.0]  # q was met first
    assert found.model.tolist() == [0, 1, 0]
    assert found.missing == [1, 0]
    assert found.left_out == 1
    assert found.counts().tolist() == [[1, 1], [1, 0]]


def test_pictures_know_who_shares_their_seed() -> None:
    found = cells(
        [("a", "p", 1.0, 7), ("b", "p", 2.0, 7), ("a", "p", 3.0, 8), ("b", "p", 4.0, None)]
    )
    assert found.seed.tolist() == [0, 0, 1, -1]


def test_what_is_no_table_of_checkpoints_is_refused() -> None:
    with pytest.raises(ConfigError, match="no column named 'x'"):
        gather(columns([("a", "p", 1.0)]), "x", "model", "prompt")
    with pytest.raises(ConfigError, match="'s' holds text"):
        cells([("a", "p", "good"), ("b", "p", 1.0)])
    with pytest.raises(DataError, match="found a"):
        cells([("a", "p", 1.0)])


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (1000.0, "1000"),
        (np.float64(-3.0), "-3"),
        (np.int64(7), "7"),
        (0.5, "0.5"),
        (True, "true"),
        (np.bool_(0), "false"),
        (math.inf, "inf"),
        ("1.0", "1.0"),
    ],
)
def test_a_cell_has_one_name_however_it_is_stored(value: object, name: str) -> None:
    assert cell_name(value) == name


def test_checkpoints_and_seeds_are_named_alike_as_floats_and_integers() -> None:
    rows = [(1000, "p", 1.0, 0), (2000, "p", 2.0, 1), (1000, "p", 3.0, 1)]
    stored = cells([(float(str(m)), p, s, float(str(k))) for m, p, s, k in rows])
    assert stored.names == cells(rows).names == ["1000", "2000"]
    assert stored.seed.tolist() == cells(rows).seed.tolist() == [0, 1, 1]


def test_rows_without_a_score_are_known_and_pictures_find_theirs() -> None:
    found = cells([("a", "p", 3.0), ("b", "p", math.nan), ("b", "p", 1.0)])
    assert found.named.model.tolist() == [0, 1, 1]
    assert found.row.tolist() == [2, 0]
