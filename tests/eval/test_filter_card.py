import re
from dataclasses import replace

import numpy as np
import pytest

from beholder.errors import ImageError
from beholder.eval.filter_card import Failures, FilterCard, Stage, Strata, filter_card
from tests.eval._filter_card.sample import sample

PICTURES = [np.full((6, 8, 3), 60 * k, np.uint8) for k in range(4)]


@pytest.fixture(scope="module")
def page() -> str:
    return filter_card(sample([*PICTURES, ImageError("missing", "no such file")]))


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', page)


def test_the_page_shows_every_part_that_was_asked_for(page: str) -> None:
    parts = ["steps", "columns", "boundary", "strata", "near", "contaminated", "failures"]
    assert sections(page) == parts
    for shown in (
        "14\N{NO-BREAK SPACE}% of scores/flux-dev kept",
        "420 of 3,000 rows were kept and 2,580 dropped",
        "99 could not be judged",
        "\N{MINUS SIGN}1,700 of 2,900",
        "all 1,200 passed",
        "quantile 0.8: 0.4906",
        "animals &amp; &lt;plants&gt;",
        "Cosine 0.9990",
        "a/7.png: its pixels end too early",
        "3f2a9c0d51be",
        "SemDeDup, 2023",
    ):
        assert shown in page, shown


def test_eight_pictures_stand_on_each_side_of_the_boundary(page: str) -> None:
    boundary = page[page.index('<section id="boundary"') : page.index('<section id="strata"')]
    kept, dropped = boundary.split("<h3>Barely dropped</h3>")
    assert re.findall(r'class="score">([\d.]+)', kept) == [
        f"{0.4906 + 0.0007 * k:.4g}" for k in range(8)
    ]
    assert dropped.count("<figure>") == 8
    assert dropped.count("Picture not shown: no such file") == 2


def test_a_pair_stands_side_by_side_and_a_picture_that_is_gone_says_so(page: str) -> None:
    near = page[page.index('<section id="near"') : page.index('<section id="contaminated"')]
    assert near.count('<div class="sides">') == 4
    assert near.count("<b>Dropped</b>") == near.count("<b>Kept</b>") == 4
    assert near.count("its picture is not at hand") == 2  # to the eye and to a screen reader


def test_the_page_needs_no_script_and_no_other_file(page: str) -> None:
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_parts_that_are_empty_are_not_shown() -> None:
    plain = filter_card(FilterCard(source="scores", rule=(), rows=2, kept=2))
    assert sections(plain) == ["steps"]
    assert "100\N{NO-BREAK SPACE}% of scores kept" in plain
    assert "everything" in plain


def test_shares_near_the_ends_are_not_rounded_to_all_or_nothing() -> None:
    card = FilterCard(source="s", rule=(), rows=1_000_000, kept=1)
    assert "0.0001\N{NO-BREAK SPACE}% of s kept" in filter_card(card)
    assert "Nearly all of s kept" in filter_card(replace(card, kept=999_999))
    nothing = filter_card(replace(card, kept=0, stages=[Stage(name="a", dropped={"b": 1_000_000})]))
    assert "No row was kept" in nothing
    assert filter_card(replace(card, rows=0, kept=0))


def test_very_many_strata_reasons_and_examples_are_cut_and_said_to_be() -> None:
    card = FilterCard(
        source="s" * 500,
        rule=("x",),
        rows=1000,
        kept=0,
        stages=[Stage(name="a", dropped={f"why {k}": 10 for k in range(100)})],
        strata=Strata(column="c", counts={f"v{k}": (0, 10) for k in range(100)}),
        errors={"e": Failures(rows=1, examples=[f"line {k}" for k in range(100)])},
    )
    page = filter_card(card)
    assert "and 88 further reasons" in page
    assert "and 40 further values" in page
    assert "line 4" in page
    assert "line 5" not in page
    assert "s" * 61 not in page
