import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from beholder.annotation.trust import agreement_page
from beholder.annotation.trust._agreement.rows import annotator_row, aspect_measures
from beholder.annotation.trust.agreement import AgreementReport, agreement
from beholder.annotation.trust.agreement_page import (
    MOST_ITEMS,
    matrix,
    stars,
    summary,
    write_agreement_page,
    write_rating_page,
)
from beholder.annotation.trust.rating_agreement import rating_agreement
from beholder.errors import DataError
from beholder.types import Comparison, Rating
from tests.annotation.samples import comparison
from tests.annotation.trust._agreement.sample import HASTY, PEOPLE, pairs, ratings

HOSTILE = "\"><script>alert(1)</script>' & {{ 7 * 7 }} \x07\u202e"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[AgreementReport, list[Comparison]]:
    rows, sides = pairs(tmp_path_factory.mktemp("pictures"))
    return agreement(rows, sides=sides, overlap_percent=50), rows


def headings(html: str) -> list[str]:
    return re.findall(r'<h2 id="(\w+)-name"', html)


def test_the_page_shows_every_section_and_needs_no_other_file(
    judged: tuple[AgreementReport, list[Comparison]], tmp_path: Path
) -> None:
    path = write_agreement_page(*judged, tmp_path / "page.html", notice="simulated", count=3)
    html = path.read_text()
    assert headings(html) == ["measures", "overlap", "people", "matrix", "disputed", "methods"]
    assert html.count('<article class="pair"') == 3
    assert html.count("data:image/webp;base64,") == 6
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    assert "<script" not in html
    assert "simulated" in html


def test_the_numbers_on_the_page_are_those_of_the_report(
    judged: tuple[AgreementReport, list[Comparison]], tmp_path: Path
) -> None:
    report, rows = judged
    html = write_agreement_page(report, rows, tmp_path / "page.html", count=0).read_text()
    for aspect in report.aspects.values():
        for found in (aspect.alpha_ordinal, aspect.fleiss.kappa, aspect.cohen.linear):
            assert f"<td>{found.low:.3f} to {found.high:.3f}</td>" in html
    assert "<b>26</b> of 39 tasks answered by two or more people" in html
    assert "(50\u00a0% were planned)" in html
    assert headings(html)[-2] == "matrix", "nothing is disputed if nothing is asked for"


def test_doubted_annotators_come_first_with_their_reasons(
    judged: tuple[AgreementReport, list[Comparison]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report, rows = judged
    page = tmp_path / "page.html"
    html = write_agreement_page(report, rows, page, count=0).read_text()
    table = html[html.index('<table class="people">') :]
    assert table.index(HASTY) < min(table.index(name) for name in PEOPLE if name != HASTY)
    for doubt in report.annotators[HASTY].doubts:
        assert f"<li>{doubt}</li>" in html
    monkeypatch.setattr(agreement_page, "MOST_PEOPLE", 2)
    html = write_agreement_page(report, rows, page, count=0).read_text()
    assert "3 more without a doubt are not shown" in html


def test_hostile_text_is_escaped_and_a_lost_picture_says_so(tmp_path: Path) -> None:
    rows = [replace(comparison("k", HOSTILE, 1), prompt=HOSTILE), comparison("k", "y", -1)]
    rows = [replace(row, prompt=HOSTILE) for row in rows]
    page = write_agreement_page(agreement(rows), rows, tmp_path / "page.html", title=HOSTILE)
    html = page.read_text()
    assert "<script" not in html
    assert "\u202e" not in html
    assert html.count('<span class="code">missing</span>') == 2


def test_the_rating_page_shows_points_words_and_stars(tmp_path: Path) -> None:
    rows, tasks = ratings(tmp_path)
    report = rating_agreement(rows, tasks=tasks)
    html = write_rating_page(report, rows, tmp_path / "page.html", count=4).read_text()
    assert headings(html) == [
        "measures",
        "marks",
        "overlap",
        "people",
        "matrix",
        "pictures",
        "methods",
    ]
    assert html.count('<svg class="points" viewBox') == 4
    assert re.search(r'<mark style="--r:[\d.]+" title="missed, say \d of 3">', html)
    assert [stars(value / 4) for value in range(5)] == [1, 2, 3, 4, 5]


def test_pages_of_nothing_still_open(tmp_path: Path) -> None:
    html = write_agreement_page(agreement([]), [], tmp_path / "pairs.html").read_text()
    assert headings(html) == ["overlap", "methods"]
    none: list[Rating] = []
    html = write_rating_page(rating_agreement(none), none, tmp_path / "pictures.html").read_text()
    assert headings(html) == ["marks", "overlap", "methods"]


@pytest.mark.parametrize("count", [-1, MOST_ITEMS + 1])
def test_more_items_than_fit_on_a_page_are_refused(count: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="show 0 to 60"):
        write_agreement_page(agreement([]), [], tmp_path / "page.html", count=count)
    assert list(tmp_path.iterdir()) == []


def test_the_summary_names_both_ends_and_who_to_look_at() -> None:
    agreed = {"overall": (1, 2), "detail": (1, 2)}
    split = {"overall": (2, 1), "detail": (1, 2)}
    other = {"overall": (2, 1), "detail": (2, 1)}
    rows = [
        comparison(key, who, 1, ranks=ranks)
        for key, first, second in (("k", agreed, split), ("m", other, other), ("n", agreed, agreed))
        for who, ranks in (("x", first), ("y", second))
    ]
    report = agreement(rows)
    measures = {a: aspect_measures(x) for a, x in report.aspects.items()}
    people = [annotator_row(n, x) for n, x in report.annotators.items()]
    assert summary(measures, people) == (
        "They agree most about detail (alpha 1.00) and least about overall (alpha 0.44). "
        "None of 2 annotators should be looked at."
    )
    assert summary({}, []) == ""


def test_the_matrix_is_shown_for_three_to_eight_people() -> None:
    def met(people: int) -> dict[str, object]:
        rows = [
            comparison(f"{a}{b}{n}", f"p{who}", n)
            for a, b in combinations(range(people), 2)
            for n in (0, 1)
            for who in (a, b)
        ]
        return {"overall": agreement(rows).aspects["overall"].cohen}

    shown = {people: matrix(met(people)) for people in (2, 3, 8, 9)}  # type: ignore[arg-type]
    assert shown[2] is shown[9] is matrix({}) is None
    three = shown[3]
    assert three is not None
    assert three.names == ["p0", "p1", "p2"]
    assert three.pairs["p0", "p2"] is three.pairs["p2", "p0"]
