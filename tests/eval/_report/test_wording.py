import math

import pytest

from beholder.eval._report.wording import headline, number, percent, shorten, summary, visible
from beholder.eval.report import AccuracyRow, RankRow, Report


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert number(-0.126) == "\N{MINUS SIGN}0.13"
    assert number(-0.001) == "0.00"
    assert number(2.0, 0) == "2"


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_unknown_is_a_dash(value: float | None) -> None:
    assert number(value) == percent(value) == "\N{EN DASH}"


def test_a_share_is_whole_percent() -> None:
    assert percent(0.126) == "13\u00a0%"


def test_control_characters_are_spelt_out() -> None:
    assert visible("a\x07b\x1b[31m") == "a\\x07b\\x1b[31m"
    assert visible("\u202egnp.exe") == "\\u202egnp.exe"
    assert visible("lone \ud800") == "lone \\ud800"
    assert visible("line\nbreak\ttab") == "line break tab"


def test_other_scripts_and_emoji_stay_as_they_are() -> None:
    text = "קפה حليب 咖啡 ☕🧑\u200d🚀 naïve"
    assert visible(text) == text
    assert visible(3.5) == 3.5


def test_long_text_is_cut_with_an_ellipsis() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abc defg", 5) == "abc…"


def row(aspect: str, method: str, accuracy: float, *, baseline: bool = False) -> AccuracyRow:
    return AccuracyRow(
        aspect=aspect,
        method=method,
        accuracy=accuracy,
        low=accuracy,
        high=accuracy,
        pairs=1200,
        baseline=baseline,
    )


def test_the_headline_is_the_first_method_that_is_no_baseline() -> None:
    rows = [
        row("detail", "CLIPScore", 0.6, baseline=True),
        row("detail", "MPS", 0.9),
        row("detail", "other", 0.7),
    ]
    assert headline(rows) == [rows[1]]
    assert headline(rows[:1]) == []


def test_the_summary_says_the_overall_figure_beside_its_baselines() -> None:
    rows = [
        row("overall", "MPS", 0.9),
        row("detail", "MPS", 0.8),
        row("overall", "CLIPScore", 0.6, baseline=True),
    ]
    assert summary(Report(title="t", accuracy=rows)) == (
        "MPS agrees with people on 90\u00a0% of 1,200 held-out pairs (overall); "
        "CLIPScore on 60\u00a0%."
    )


def test_the_summary_does_not_claim_a_winner_that_may_be_chance() -> None:
    ranking = [RankRow(name=name, strength=0.0, low=0.0, high=0.0) for name in "abc"]
    clear = Report(title="t", ranking=ranking, not_told_apart=[["b", "c"]])
    assert summary(clear) == "Of 3 checkpoints, a ranks first."
    tied = Report(title="t", ranking=ranking, not_told_apart=[["a", "b"], ["b", "c"]])
    assert summary(tied) == "a ranks first, but is not told apart from b."
    assert summary(Report(title="t")) == ""
