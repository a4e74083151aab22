import math
from pathlib import Path

import pytest

from beholder.annotation.trust._agreement.rows import (
    annotator_row,
    aspect_measures,
    mark_measures,
    rated_measures,
    rater_row,
    seconds,
)
from beholder.annotation.trust.agreement import agreement
from beholder.annotation.trust.rating_agreement import rating_agreement
from tests.annotation.samples import comparison
from tests.annotation.trust._agreement.sample import HASTY, PEOPLE, pairs, ratings


def test_every_measure_of_an_aspect_says_what_it_rests_on() -> None:
    rows = [comparison(f"k{n}", who, n % 2) for n in range(4) for who in "xyz"]
    found = aspect_measures(agreement(rows).aspects["overall"])
    assert [row.short for row in found] == [
        "alpha ordinal",
        "alpha nominal",
        "Fleiss",
        "Cohen",
        "Cohen linear",
        "Cohen quadratic",
    ]
    assert [row.on for row in found[1:4]] == [
        "4 tasks",
        "4 tasks of 3 answers",
        "3 pairs of people",
    ]
    assert all(row.found.value == pytest.approx(1) for row in found)


def test_a_person_has_a_cell_for_every_figure(tmp_path: Path) -> None:
    rows, sides = pairs(tmp_path, tasks=24)
    person = annotator_row(HASTY, agreement(rows, sides=sides).annotators[HASTY])
    cells = {cell.head: cell for cell in person.cells}
    assert list(cells) == ["Tasks", "Others", "Consensus", "Gold", "Repeats", "Left side", "Time"]
    assert (cells["Left side"].text, cells["Left side"].guide) == ("100\u00a0%", 0.5)
    assert cells["Repeats"].note == "bias +1.00"
    assert person.doubts


def test_what_is_not_known_is_a_dash_and_not_drawn() -> None:
    person = annotator_row("x", agreement([comparison("k", "x", 1)]).annotators["x"])
    for cell in person.cells[1:5]:
        assert (cell.text, cell.note, cell.found) == ("\N{EN DASH}", "", None)


def test_ratings_words_and_places_have_their_measures(tmp_path: Path) -> None:
    rows, tasks = ratings(tmp_path, tasks=12)
    report = rating_agreement(rows, tasks=tasks)
    shorts = [row.short for row in rated_measures(report.aspects["overall"])]
    assert shorts == ["alpha interval", "alpha ordinal", "Cohen quadratic", "≤ 1 step", "equal"]
    marks = mark_measures(report)
    assert list(marks) == ["words", "implausibility", "misalignment"]
    assert marks["misalignment"][1].found == report.points["misalignment"].iou_marked
    name = next(iter(PEOPLE))
    cells = rater_row(name, report.annotators[name]).cells
    assert [cell.head for cell in cells] == ["Tasks", "Others", "Gold", "Repeats", "Time"]
    assert cells[2].note.startswith("off by ")


def test_a_long_time_is_told_in_minutes() -> None:
    assert seconds(7.25) == "7.2\u00a0s"
    assert seconds(90) == "1.5\u00a0min"
    assert seconds(math.nan) == "\N{EN DASH}"
