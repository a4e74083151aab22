from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beholder.annotation.asking import candidates as module
from beholder.annotation.asking.candidates import (
    absolute,
    candidates_from_table,
    numbered,
    pairs_within,
)
from beholder.errors import ConfigError, DataError
from beholder.tables import ScoreTable

Row = dict[str, Any]


def table_of(folder: Path, rows: Sequence[Row]) -> ScoreTable:
    """A table of rewards "r" and "s"; a total of None is a picture that "r" could not score."""
    table = ScoreTable(folder)
    inputs = [{"key": str(k), **{n: row.get(n) for n in INPUTS}} for k, row in enumerate(rows)]
    with table.writing() as writer:
        writer.add_inputs(inputs)
        for name, sign in (("r", 1), ("s", -1)):
            writer.claim(name, {})
            totals = [row["total"] for row in rows]
            writer.add_scores(
                name,
                {
                    "key": [row["key"] for row in inputs],
                    f"{name}.total": [None if t is None else sign * t for t in totals],
                    f"{name}.overall": [None if t is None else 10.0 * sign * t for t in totals],
                    f"{name}.error": ["decode: cut short" if t is None else None for t in totals],
                },
            )
    return table


INPUTS = ("image", "prompt", "model")


def row(image: str, prompt: str | None, model: str | None, total: float | None) -> Row:
    return {"image": f"/p/{image}.png", "prompt": prompt, "model": model, "total": total}


FOXES = [
    row("a", "a fox", "old", 1.0),
    row("b", "a hen", "old", 2.0),
    row("c", "a fox", "new", 3.0),
    row("d", "a hen", "new", 4.0),
    row("e", "a fox", "new", 5.0),
]


def shown(found: module.Candidates) -> list[str]:
    letters = [Path(image).stem for image in found.images]
    return ["".join(sorted((letters[i], letters[j]))) for i, j in found.pairs.tolist()]


def test_every_two_pictures_of_a_prompt_are_a_pair_prompt_by_prompt(tmp_path: Path) -> None:
    found = candidates_from_table(table_of(tmp_path, FOXES), ["r"])
    assert shown(found) == ["ac", "ae", "ce", "bd"]
    assert set(found.checkpoints) == {""}
    assert found.margins(found.pairs).tolist() == [[-2.0, -4.0, -2.0, -2.0]]


def test_two_pictures_of_one_checkpoint_meet_only_if_wanted(tmp_path: Path) -> None:
    table = table_of(tmp_path, FOXES)
    assert shown(candidates_from_table(table, ["r"], by="model")) == ["ac", "ae", "bd"]
    every = candidates_from_table(table, ["r"], by="model", same_checkpoint=True)
    assert shown(every) == ["ac", "ae", "ce", "bd"]


def test_a_single_checkpoint_is_compared_with_itself(tmp_path: Path) -> None:
    rows = [one | {"model": "only"} for one in FOXES]
    assert len(candidates_from_table(table_of(tmp_path, rows), ["r"], by="model")) == 4


def test_what_was_asked_in_either_order_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    asked = [("/p/c.png", "/p/a.png"), ("p/b.png", "/p/d.png"), ("/elsewhere/x.png", "/p/a.png")]
    found = candidates_from_table(table_of(tmp_path, FOXES), ["r"], asked=asked)
    assert (shown(found), found.asked) == (["ae", "ce"], 2)


def test_rows_that_cannot_be_asked_about_are_counted_by_reason(tmp_path: Path) -> None:
    rows = [
        *FOXES,
        row("f", "a fox", "new", None),
        row("g", "  ", "new", 1.0),
        row("h", None, "new", 1.0),
        row("i", "a fox", None, 1.0),
        row("a", "a fox", "old", 1.0),
    ]
    found = candidates_from_table(table_of(tmp_path, rows), ["r", "s"], by="model")
    assert shown(found) == ["ac", "ae", "bd"]
    assert found.left_out == {"no prompt": 2, "r.total: decode": 1, "no model": 1, "repeated": 1}


def test_scores_are_those_of_the_rewards_and_the_aspect(tmp_path: Path) -> None:
    found = candidates_from_table(table_of(tmp_path, FOXES), ["s", "r"], aspect="overall")
    assert found.rewards == ("s", "r")
    assert found.scores[:, 0].tolist() == [-10.0, 10.0]


def test_without_rewards_pictures_that_none_could_score_are_candidates(tmp_path: Path) -> None:
    found = candidates_from_table(table_of(tmp_path, [*FOXES, row("f", "a hen", "new", None)]), [])
    assert len(found) == 6
    assert found.margins(found.pairs).shape == (0, 6)


def test_an_unknown_column_is_told(tmp_path: Path) -> None:
    table = table_of(tmp_path, FOXES)
    with pytest.raises(ConfigError, match=r"'r\.overal'; did you mean 'r\.overall'"):
        candidates_from_table(table, ["r"], aspect="overal")
    with pytest.raises(ConfigError, match="'modle'; did you mean 'model'"):
        candidates_from_table(table, ["r"], by="modle")


def test_no_pair_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    rows = [row("a", "a fox", "old", 1.0), row("c", "a fox", "new", None)]
    with pytest.raises(DataError, match=r"1 usable pictures \(left out: 1 r\.total: decode\)"):
        candidates_from_table(table_of(tmp_path / "few", rows), ["r"])
    with pytest.raises(DataError, match="1 pairs of them asked"):
        candidates_from_table(
            table_of(tmp_path / "done", FOXES[::2][:2]), ["r"], asked=[("/p/a.png", "/p/c.png")]
        )


def test_too_many_pairs_are_refused_before_they_fill_the_memory() -> None:
    groups = np.zeros(10_000, dtype=np.int64)
    with pytest.raises(DataError, match="49995000 pairs"):
        pairs_within(groups)


def test_pairs_are_all_combinations_within_groups_of_any_size() -> None:
    groups = numbered("abcabbbd")
    expected = {(i, j) for i in range(8) for j in range(i + 1, 8) if "abcabbbd"[i] == "abcabbbd"[j]}
    found = [tuple(pair) for pair in pairs_within(groups).tolist()]
    assert len(found) == len(expected) == 7
    assert set(found) == expected


def test_addresses_are_left_as_they_are() -> None:
    assert absolute("https://host/a.png") == "https://host/a.png"
    assert absolute("/p/a.png") == "/p/a.png"
