import math

import torch

from beholder.types import Scores, WordLabel


def rich() -> Scores:
    return Scores(
        total=torch.tensor([0.25, math.nan]),
        aspects={"overall": torch.tensor([0.25, math.nan], requires_grad=True)},
        maps={"implausibility": torch.tensor([[[0.0, 1.0]], [[math.nan, math.nan]]])},
        words=((WordLabel("red", 0, 3, 0.9), WordLabel("fox", 4, 7, 0.2)), ()),
        errors={1: "truncated: <b.png> ends early"},
        deviations={"overall": torch.tensor([0.125, math.nan])},
    )


def test_scores_are_read_as_a_table_without_numbers_of_maps() -> None:
    assert repr(rich()).splitlines() == [
        "Scores of 2 pictures, 1 without one",
        "   total  overall       misaligned  no score because",
        "0   0.25  0.25 ± 0.125  red",
        "1      \N{EN DASH}  \N{EN DASH}                         truncated: <b.png> ends early",
    ]


def test_a_notebook_shows_one_map_a_scored_picture_and_escapes_reasons() -> None:
    shown = rich()._repr_html_()
    assert shown.count("<img") == 1
    assert 'alt="implausibility map"' in shown
    assert "&lt;b.png&gt; ends early" in shown


def test_thousands_of_scores_stay_small_and_say_how_many_they_are() -> None:
    many = Scores(torch.rand(5000), maps={"dark": torch.rand(5000, 32, 32)})
    assert "and 4,980 more rows" in repr(many)
    assert len(many._repr_html_()) < 150_000


def test_no_scores_are_said_to_be_none() -> None:
    assert repr(Scores(torch.zeros(0), {"detail": torch.zeros(0)})).splitlines() == [
        "Scores of 0 pictures",
        "  total  detail",
    ]
