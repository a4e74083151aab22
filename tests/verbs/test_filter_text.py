"""What the verb filter tells a person."""

from dataclasses import replace
from pathlib import Path

from beholder._verbs.filter_text import filter_text, nothing_kept
from beholder.eval.filtering import FilterSummary, Rule

SUMMARY = FilterSummary(
    rows=6,
    kept=3,
    dropped=3,
    reasons={"b": 1, "a": 2},
    pictures_missing=2,
    rule=Rule(),
    missing={"missing": 1, "truncated": 1},
    likeness={"embedder": "clip", "dedup": 0.9, "method": "cells", "evaluation_pictures": 7},
)


def test_the_commonest_reason_comes_first() -> None:
    assert filter_text(SUMMARY, Path("kept")).splitlines() == [
        "kept: 3 of 6 rows kept, 3 dropped",
        "  2 a",
        "  1 b",
        "embedded by: clip",
        "near-duplicate from a cosine of: 0.9",
        "pairs compared: inside cells of k-means (cells)",
        "evaluation pictures: 7",
        "2 kept pictures could not be brought along: 1 file not found, "
        "1 file cut off before its end",
    ]


def test_a_dry_run_says_so() -> None:
    assert filter_text(SUMMARY, None).startswith("dry run, nothing written: 3 of 6 rows kept")


def test_what_dropped_everything_is_named() -> None:
    said = "nothing is kept; "
    alone = replace(SUMMARY, kept=0, dropped=6, reasons={"not model == 'x'": 6})
    assert nothing_kept(alone) == f"{said}all 6 rows are dropped for: not model == 'x'"
    several = replace(alone, reasons={"b": 2, "a": 4})
    assert nothing_kept(several) == f"{said}4 of 6 rows are dropped for: a"
    assert "the table has no rows" in nothing_kept(replace(alone, rows=0, dropped=0, reasons={}))
