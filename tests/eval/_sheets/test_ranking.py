from typing import Any

import numpy as np

from beholder.eval._sheets.ranking import lettered
from beholder.eval.leaderboard import Leaderboard
from beholder.eval.ranking import Ranking, rank, tiers

PROMPTS = 24


def columns() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    quality = {"<base>": 0.0, "mine": 0.0, "best": 3.0}
    rows = [(name, f"p{p}") for p in range(PROMPTS) for name in quality]
    return {
        "model": np.array([name for name, _ in rows], dtype=object),
        "prompt": np.array([prompt for _, prompt in rows], dtype=object),
        "r.total": np.array([quality[name] for name, _ in rows]) + rng.normal(size=len(rows)),
    }


def ranking() -> Ranking:
    return rank(columns(), score="r.total", draws=100)


def board(found: Ranking) -> Leaderboard:
    return Leaderboard(
        by="model",
        scores=["r.total", "s.total"],
        rankings={"r.total": found, "s.total": found},
        tiers={"r.total": tiers(found), "s.total": tiers(found)},
        categories={"colour": {"r.total": found}},
        small_categories=["colour"],
    )


def test_the_strongest_stands_first_and_who_is_not_told_apart_is_named() -> None:
    found = ranking()
    lines = repr(found).splitlines()
    assert lines[0] == f"Ranking by r.total, {PROMPTS} prompts compared"
    assert lines[2].startswith("best")
    strength = found.standings[0]
    assert f"{strength.strength:.4g} [{strength.strength_interval.low:.4g}" in lines[2]
    (alike,) = (line for line in lines if line.startswith("not told apart: "))
    p = next(m.p_adjusted for m in found.meetings if "best" not in (m.first, m.second))
    assert alike.endswith(f"(p = {p:.2g})")
    assert alike.count("(p = ") == 1, "best is told apart from both"


def test_names_of_checkpoints_are_escaped() -> None:
    shown = ranking()._repr_html_()
    assert "&lt;base&gt;" in shown
    assert "<base>" not in shown


def test_a_leaderboard_adds_groups_means_and_categories() -> None:
    found = ranking()
    said = repr(board(found))
    assert "group" in said.splitlines()[1]
    assert "Means; a shared letter is not told apart" in said
    assert f"{found.standings[0].mean:.4g} a" in said
    assert "Win rate by r.total in each category" in said
    assert "too few prompts to rely on: colour" in said
    assert board(found)._repr_html_().count("<table>") == 3


def test_groups_have_letters_and_numbers_where_those_end() -> None:
    assert lettered([["a", "b"], ["b", "c"]]) == {"a": "a", "b": "ab", "c": "b"}
    assert lettered([[str(k)] for k in range(27)])["26"] == "(27)"
