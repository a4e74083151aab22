"""The card of a filter shows what was decided, and pictures at the boundary."""

from pathlib import Path

import pyarrow as pa
import pytest

from beholder.eval._filter.carding import Told, card_of
from beholder.eval._filter.distinct import Likeness
from beholder.eval._filter.judging import VALUES, judge
from beholder.eval._filter.ranked import keep_budget, keep_top
from beholder.eval._filter.rule import Rule
from beholder.eval.filter_card import FilterCard
from beholder.eval.near_duplicates import Near
from tests.eval.filtered import HeldRows

COUNT = 40
SEEDS = pa.array([2**53 + n for n in range(COUNT)], pa.int64())
TABLE = pa.table(
    {
        "key": [f"k{n}" for n in range(COUNT)],
        "image": [f"/gone/{n}.png" for n in range(COUNT)],
        "prompt": ["p"] * COUNT,
        "source": ["web", "gen"] * (COUNT // 2),
        "mps.total": [None if n == 3 else n / 10 for n in range(COUNT)],
        "mps.error": ["cut: short" if n == 3 else None for n in range(COUNT)],
    }
)


def card(rule: Rule, likeness: Likeness | None = None) -> FilterCard:
    rows = HeldRows(TABLE, 7)
    asked = rule.asked(rows.columns)
    judged = judge(rows, asked, rows.columns)
    keep_top(judged, rule)
    keep_budget(judged, rule)
    decision = judged.decision(rows)
    return card_of(
        Told("scores", rule, asked, judged, decision, likeness or Likeness(), {"a": "b"}, ["run"])
    )


def keys(shown: object) -> list[str]:
    return [one.key for one in shown]  # type: ignore[attr-defined]


def test_steps_columns_and_errors_are_counted() -> None:
    found = card(Rule(where="mps.total > 1 and source == 'web'", top=5, score="mps.total"))
    assert (found.rows, found.kept, found.source) == (40, 5, "scores")
    assert found.rule == ["mps.total > 1", "source == 'web'", "top 5 by mps.total"]
    assert [(stage.name, dict(stage.dropped)) for stage in found.stages] == [
        (VALUES, {"cut": 1}),
        ("mps.total > 1", {"not mps.total > 1": 10}),
        ("source == 'web'", {"not source == 'web'": 15}),
        ("top 5 by mps.total", {"not in the top 5 by mps.total": 9}),
    ]
    (column,) = found.columns  # texts have no histogram
    assert (column.tally.kept, column.tally.dropped, column.tally.missing) == (5, 34, (0, 1))
    assert [(cut.value, cut.name) for cut in column.thresholds] == [(1.0, ""), (3.0, "last kept")]
    assert found.errors["cut"].examples == ["k3: cut: short"]
    assert (found.protocol, found.commands) == ({"a": "b"}, ["run"])


def test_the_boundary_of_a_ranking_is_its_last_kept_and_first_dropped() -> None:
    found = card(Rule(top=10, score="mps.total"))
    assert found.score == "mps.total"
    assert keys(found.barely_kept) == [f"k{n}" for n in range(30, 38)]
    assert keys(found.barely_dropped) == [f"k{n}" for n in range(29, 21, -1)]
    assert found.barely_dropped[0].score == pytest.approx(2.9)


def test_the_boundary_of_a_condition_is_around_its_cut() -> None:
    found = card(Rule(where="source == 'web' and mps.total > quantile(mps.total, 0.5)"))
    assert found.score == "mps.total"
    assert keys(found.barely_kept)[:2] == ["k22", "k24"]
    assert keys(found.barely_dropped)[:2] == ["k20", "k18"]
    (column,) = found.columns
    assert [(cut.value, cut.name) for cut in column.thresholds] == [(2.0, "quantile 0.5")]


def test_strata_show_what_was_kept_of_each() -> None:
    found = card(Rule(budget=10, score="mps.total", stratify="source"))
    assert found.strata is not None
    assert (found.strata.column, dict(found.strata.counts)) == (
        "source", {"web": (5, 20), "gen": (5, 20)},
    )  # fmt: skip


def test_pairs_that_are_alike_are_shown_the_most_alike_first(tmp_path: Path) -> None:
    likeness = Likeness(
        near={1: Near(of=2, similarity=0.96), 5: Near(of=2, similarity=0.99)},
        evaluation={4: Near(of=0, similarity=1.0)},
        pictures={0: ("e.png", str(tmp_path / "e.png"))},
    )
    found = card(Rule(), likeness)
    assert [(p.key, p.of_key, p.similarity) for p in found.near_duplicates] == [
        ("k5", "k2", 0.99), ("k1", "k2", 0.96),
    ]  # fmt: skip
    assert [(p.key, p.of_key) for p in found.contaminated] == [("k4", "e.png")]
    assert "SemDeDup" in found.methods[0]


def test_a_score_that_cuts_nothing_leaves_the_boundary_to_the_threshold_that_did() -> None:
    found = card(Rule(where="mps.total >= 0 and mps.total > 1", score="-mps.total"))
    assert found.score == "mps.total"
    assert keys(found.barely_kept)[:2] == ["k11", "k12"]
    assert keys(found.barely_dropped)[:2] == ["k10", "k9"]


def test_large_integers_are_drawn() -> None:
    rows = HeldRows(pa.table({**{n: TABLE[n] for n in TABLE.column_names}, "seed": SEEDS}))
    asked = (rule := Rule(where=f"seed > {2**53 + 3}")).asked(rows.columns)
    judged = judge(rows, asked, rows.columns)
    told = Told("scores", rule, asked, judged, judged.decision(rows), Likeness(), {}, [])
    assert card_of(told).columns[0].tally.kept == COUNT - 4


def test_everything_that_was_asked_is_told_even_if_it_dropped_nothing() -> None:
    asked = {"against": "eval/", "against_threshold": 0.9, "dedup": 0.95}
    rule = Rule(where="mps.total >= 0", budget=100, score="mps.total")
    found = card(rule, Likeness(protocol=asked))
    assert found.rule == [
        "mps.total >= 0",
        "decontamination: none of eval/",
        "near-duplicates: the best of each from a cosine of 0.95",
        "best 100 by mps.total",
    ]
    assert [(stage.name, dict(stage.dropped)) for stage in found.stages] == [
        (VALUES, {"cut": 1}),
        ("mps.total >= 0", {}),
        ("decontamination", {}),
        ("near-duplicates", {}),
        ("best 100 by mps.total", {}),
    ]


def test_texts_that_are_numbers_are_drawn() -> None:
    texts = HeldRows(TABLE.append_column("seed", [[str(n) for n in range(COUNT)]]), 7)
    asked = (rule := Rule(where="seed > 9")).asked(texts.columns)
    judged = judge(texts, asked, texts.columns)
    told = Told("scores", rule, asked, judged, judged.decision(texts), Likeness(), {}, [])
    (column,) = card_of(told).columns
    assert (column.tally.column, column.tally.kept, column.tally.dropped) == ("seed", 30, 10)
