import math
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._report.columns import Names, Parts, in_memory, pictured, read_columns, rows_at
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


def one_part(table: pa.Table) -> Parts:
    return lambda columns: iter([table.select(columns)])


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


def test_a_whole_number_has_one_name_however_a_shard_keeps_it() -> None:
    named = Names(reward="r", parts=["total"], group="model", seed="seed", table=COLUMNS)
    texts = {"prompt": ["p"] * 3, "image": ["i"] * 3, "key": ["k"] * 3, "r.error": pa.nulls(3)}
    rows = {**texts, "seed": [7, 8, 9], "r.total": [1.0, 2.0, 3.0]}
    whole = pa.table({**rows, "model": [1000, None, 2000]})
    floats = pa.table({**rows, "model": [1000.0, math.nan, 2000.0]})
    floats = floats.set_column(4, "seed", pa.array([7.0, 8.0, 9.0]))
    cells = []
    for kept in (whole, floats):
        found = read_columns(one_part(kept), named)
        assert list(found.groups) == ["1000", "", "2000"]
        pictures = [pictured(row, named) for row in kept.to_pylist()]
        assert [picture.group for picture in pictures] == ["1000", "", "2000"]
        assert pictures[0].seed == "7"
        cells.append(found.cells.tolist())
    assert cells[0] == cells[1]


def test_integers_that_no_float_holds_are_drawn_at_the_nearest_and_text_is_refused() -> None:
    large = [{**each, "s.total": 2**60 + 1} for each in ROWS[:2]]
    whole = pa.Table.from_pylist(large)
    found = read_columns(one_part(whole), NAMES)
    assert found.scores["s.total"].tolist() == [2.0**60] * 2
    text = whole.set_column(whole.column_names.index("s.total"), "s.total", pa.array(["a", "b"]))
    with pytest.raises(ConfigError, match=r"'s\.total' holds no numbers"):
        read_columns(one_part(text), NAMES)
