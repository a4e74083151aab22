import math
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest

from beholder.errors import DataError
from beholder.eval._report.columns import Names, in_memory, pictured, read_columns, rows_at
from beholder.eval.report import Unread

COLUMNS = ["key", "image", "prompt", "model", "seed", "r.total", "r.detail", "r.error", "s.total"]
NAMES = Names(
    reward="r",
    parts=["total", "detail"],
    others=["s.total"],
    group="model",
    seed="seed",
    table=COLUMNS,
)


def row(k: int, total: float | None, error: str | None = None) -> dict[str, object]:
    names = {"key": f"k{k}", "image": f"/p/{k}.png", "prompt": f"p{k // 2}", "model": "ab"[k % 2]}
    scores = {"r.total": total, "r.detail": total, "r.error": error, "s.total": 0.5}
    return {**names, "seed": 7, **scores}


ROWS = [row(0, 1.0), row(1, 3.0), row(2, None, "truncated: it ends early"), row(3, math.inf)]


def in_two_parts(columns: Sequence[str]) -> Iterator[pa.Table]:
    for rows in (ROWS[:3], ROWS[3:]):
        yield pa.Table.from_pylist(rows).select(columns)


def test_numbers_are_gathered_over_parts_and_a_lost_row_has_none() -> None:
    found = read_columns(in_two_parts, NAMES)
    np.testing.assert_array_equal(found.scores["total"], [1, 3, math.nan, math.nan])
    np.testing.assert_array_equal(found.scores["s.total"], [0.5, 0.5, math.nan, math.nan])
    assert (list(found.groups), found.checkpoints.tolist()) == (["a", "b"], [0, 1, 0, 1])
    assert found.of("b", "detail").tolist() == [3.0]
    assert len(found) == 4


def test_lost_rows_say_why() -> None:
    assert list(read_columns(in_two_parts, NAMES).unread) == [
        Unread(name="/p/2.png", code="truncated", reason="it ends early"),
        Unread(name="/p/3.png", code="non-finite", reason="the score is no number"),
    ]


def test_rows_of_one_prompt_and_seed_share_a_cell() -> None:
    first, second, third, fourth = read_columns(in_two_parts, NAMES).cells.tolist()
    assert first == second
    assert third == fourth != first


def test_rows_are_found_by_number_across_parts() -> None:
    found = dict(rows_at(in_two_parts, ["key"], [3, 0, 3]))
    assert found == {0: {"key": "k0"}, 3: {"key": "k3"}}
    assert list(rows_at(in_two_parts, ["key"], [])) == []


def test_a_row_becomes_a_picture_with_every_score() -> None:
    shown = pictured(ROWS[1], NAMES)
    assert (shown.total, shown.aspects, shown.others) == (3.0, {"detail": 3.0}, {"s.total": 0.5})
    assert (shown.group, shown.seed, shown.category, shown.name) == ("b", "7", "", "1.png")


def test_rows_in_memory_read_as_a_table_does() -> None:
    parts = in_memory(ROWS, NAMES)
    assert (
        read_columns(parts, NAMES).cells.tolist()
        == read_columns(in_two_parts, NAMES).cells.tolist()
    )


def test_a_table_without_the_reward_is_refused() -> None:
    with pytest.raises(DataError, match=r"no q\.total; the table has r\.total, s\.total"):
        Names(reward="q", parts=(), table=COLUMNS)
