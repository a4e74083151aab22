"""The page of all ratios, and the few that the README shows, which are those of the last run."""

from dataclasses import replace

import pytest

from benchmarks._options import ROOT
from benchmarks._record import Missing, Spread
from benchmarks._results import Results, newest
from benchmarks._summary import BEGIN, END, page, readme_table, regressions, told, with_table
from tests.benchmarks.test_results import ROW, ran, results

SHOWN = replace(ROW, headline=True, goal=3.0, peer="imscore 1.0", agreement="the same")
SLOWER = replace(SHOWN, ratio=Spread(1.0, 0.9, 1.1))


def line_of(text: str, word: str) -> str:
    (line,) = (line for line in text.splitlines() if word in line)
    return line


def test_a_row_says_ratio_goal_and_what_it_was() -> None:
    line = line_of(page(results(ran(SLOWER)), results(ran(SHOWN))), "a loop")
    assert "| a loop (imscore 1.0) | 1.00 [0.90, 1.10] | ≥ 3, **missed** |" in line
    assert "| 2.00 [1.90, 2.10], -50 %, **worse** | the same |" in line


def test_a_ratio_that_was_none_at_all_has_no_percent() -> None:
    none = replace(SHOWN, ratio=Spread(0.0, 0.0, 2.0), better="lower", goal=None)
    line = line_of(page(results(ran(none)), results(ran(none))), "a loop")
    assert "| 0.00 [0.00, 2.00] |" in line
    worse = replace(none, ratio=Spread(3.0, 2.5, 4.0))
    (change,) = regressions(results(ran(worse)), results(ran(none)))
    assert change.verdict == "worse"


def test_every_row_has_as_many_cells_as_the_header() -> None:
    text = page(results(ran(replace(SHOWN, what="a | b"))), None)
    assert line_of(text, "a ¦ b").count("|") == line_of(text, "| area").count("|")


def test_less_is_better_is_marked() -> None:
    lower = replace(ROW, better="lower", unit="memory")
    assert "2.00 [1.90, 2.10] ↓ memory" in page(results(ran(lower)), None)


def test_what_was_not_measured_has_its_reason() -> None:
    missing = Missing(area="serving", what="LitServe", reason="not installed: make peers")
    text = page(results(ran(missing), ran(name="training", failure="exit code 1: no")), None)
    assert "- training failed: exit code 1: no" in text
    assert "- not measured: serving, LitServe: not installed: make peers" in text


def test_only_what_got_worse_or_lost_is_a_regression() -> None:
    before = results(ran(SHOWN))
    assert regressions(results(ran(SHOWN)), before) == []
    (worse,) = regressions(results(ran(SLOWER)), before)
    assert told(worse).startswith("worse: scoring, files, against a loop: 1.00 [0.90, 1.10], 2.00")
    (lost,) = regressions(results(ran(failure="exit code 1")), before)
    assert told(lost) == "lost: scoring, files, against a loop: none now, 2.00 [1.90, 2.10] before"


def test_the_readme_shows_headlines_alone() -> None:
    table = readme_table(results(ran(SHOWN, replace(ROW, what="hidden"))), "results/x.md")
    assert "| files | a loop | 2.00 [1.90, 2.10] |" in table
    assert "hidden" not in table
    assert "(results/x.md)" in table


def test_the_table_goes_between_the_markers_and_nothing_else_moves() -> None:
    old = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    new = with_table(old, "| new |\n")
    assert new == f"above\n{BEGIN}\n| new |\n{END}\nbelow\n"
    assert with_table(new, "| new |\n") == new
    with pytest.raises(SystemExit, match="<!-- benchmarks -->"):
        with_table("no markers", "| new |\n")


def test_the_readme_has_the_table_of_the_newest_results() -> None:
    file = newest(ROOT / "benchmarks" / "results")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if file is None:
        pytest.skip("no run of all benchmarks was kept yet")
    place = file.with_suffix(".md").relative_to(ROOT).as_posix()
    table = readme_table(Results.parse(file.read_text(encoding="utf-8")), place)
    assert with_table(readme, table) == readme, "python -m benchmarks --readme writes it"
