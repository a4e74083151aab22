"""What counts as a change between two runs of all benchmarks, and which run is the last one."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks._record import Missing, Row, Spread
from benchmarks._results import Ran, Results, changes, committed, newest, verdict

ROW = Row(area="scoring", what="files", against="a loop", ratio=Spread(2.0, 1.9, 2.1))
LOWER = replace(ROW, better="lower")
OTHER = replace(ROW, what="other files")


def ran(*rows: Row | Missing, name: str = "scoring", failure: str = "") -> Ran:
    return Ran(
        name=name, arguments=["-n", "1"], date="2026-01-01", minutes=1.5, failure=failure, rows=rows
    )


def results(*benchmarks: Ran, date: str = "2026-01-02", profile: str = "quick") -> Results:
    return Results(
        date=date,
        profile=profile,
        machine="a machine",
        versions={"torch": "2.6"},
        benchmarks=benchmarks,
    )


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (Spread(1.6, 1.5, 1.7), "worse"),
        (Spread(2.6, 2.5, 2.7), "better"),
        (Spread(1.6, 1.5, 1.95), ""),  # the ranges meet
        (Spread(1.85, 1.84, 1.86), ""),  # apart, but by less than noise
    ],
)
def test_a_ratio_is_worse_if_ranges_are_apart_and_medians_well_apart(
    now: Spread, expected: str
) -> None:
    assert verdict(replace(ROW, ratio=now), ROW) == expected


def test_where_less_is_better_a_fall_is_better() -> None:
    assert verdict(replace(LOWER, ratio=Spread(1.0, 0.9, 1.1)), LOWER) == "better"
    assert verdict(replace(LOWER, ratio=Spread(3.0, 2.9, 3.1)), LOWER) == "worse"


def test_one_round_may_move_further_before_it_counts() -> None:
    once = replace(ROW, ratio=Spread(1.5, 1.5, 1.5))
    assert verdict(once, ROW) == ""
    assert verdict(replace(ROW, ratio=Spread(1.3, 1.3, 1.3)), ROW) == "worse"


def test_every_comparison_is_told_once_and_a_failed_benchmark_loses_its_own() -> None:
    gone = replace(ROW, area="serving")
    before = results(ran(ROW, OTHER), ran(gone, name="serving"))
    now = results(ran(ROW, failure="exit code 1"), ran(name="serving"))
    assert [(one.verdict, one.now or one.before) for one in changes(now, before)] == [
        ("", ROW),
        ("lost", OTHER),
    ]


def test_a_comparison_without_a_past_is_new() -> None:
    (one,) = changes(results(ran(ROW)), None)
    assert (one.verdict, one.now, one.before) == ("new", ROW, None)


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "2026-01-02.json"
    full = results(ran(ROW, Missing(area="a", what="b", reason="c"), failure="no"))
    full.write(file)
    again = Results.parse(file.read_text())
    assert again.ratios == full.ratios
    assert again.benchmarks[0].missing == full.benchmarks[0].missing
    assert (again.date, again.machine, again.benchmarks[0].failure) == (
        full.date,
        "a machine",
        "no",
    )


def test_a_run_of_some_keeps_the_others_with_their_dates() -> None:
    before = results(ran(ROW), ran(OTHER, name="serving"))
    now = results(replace(ran(LOWER), date="2026-01-03"), ran(name="decode"))
    merged = now.after(before)
    assert [(one.name, one.date) for one in merged.benchmarks] == [
        ("scoring", "2026-01-03"),
        ("serving", "2026-01-01"),
        ("decode", "2026-01-01"),
    ]
    assert merged.ratios == [LOWER, OTHER]
    assert now.after(None) is now


def test_the_newest_file_is_that_of_the_last_date(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    for name in ("2026-01-02.json", "2025-12-31.json", "serving-2026-02-01.json"):
        (tmp_path / name).write_text("{}")
    assert newest(tmp_path) == tmp_path / "2026-01-02.json"


def test_the_last_results_are_those_that_git_has_and_not_what_a_run_just_wrote(
    tmp_path: Path,
) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True)

    file = tmp_path / "2026-01-02.json"
    results(ran(ROW)).write(file)
    results(ran(OTHER), date="2026-01-01", profile="full").write(tmp_path / "2026-01-01.json")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--no-verify", "-m", "kept")
    results(ran(LOWER)).write(file)
    results(ran(LOWER), date="2026-01-05").write(tmp_path / "2026-01-05.json")
    quick, full = committed(tmp_path, "quick"), committed(tmp_path, "full")
    assert quick is not None
    assert quick.ratios == [ROW]
    assert full is not None
    assert full.ratios == [OTHER]


def test_without_git_the_last_results_are_those_of_the_files(tmp_path: Path) -> None:
    assert committed(tmp_path, "quick") is None
    results(ran(ROW)).write(tmp_path / "2026-01-02.json")
    found = committed(tmp_path, "quick")
    assert found is not None
    assert found.ratios == [ROW]
