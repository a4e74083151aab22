"""What the verb filter tells a person."""

from pathlib import Path

from beholder._verbs.filter_text import filter_text
from beholder.eval.filtering import FilterSummary, Rule

SUMMARY = FilterSummary(
    rows=6,
    kept=3,
    dropped=3,
    reasons={"b": 1, "a": 2},
    pictures_missing=2,
    rule=Rule(),
    missing={"missing": 1, "truncated": 1},
)


def test_the_commonest_reason_comes_first() -> None:
    assert filter_text(SUMMARY, Path("kept")).splitlines() == [
        "kept: 3 of 6 rows kept, 3 dropped",
        "  2 a",
        "  1 b",
        "2 kept pictures could not be brought along: 1 missing, 1 truncated",
    ]


def test_a_dry_run_says_so() -> None:
    assert filter_text(SUMMARY, None).startswith("dry run, nothing written: 3 of 6 rows kept")
