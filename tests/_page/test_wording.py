import html
import math
import re

import pytest
from markdown_it import MarkdownIt

from beholder._page.wording import decimals, in_markdown, number, percent, pieces, shorten, visible
from beholder.types import WordLabel


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert number(-0.126) == "\N{MINUS SIGN}0.13"
    assert number(-0.001) == "0.00"
    assert number(2.0, 0) == "2"


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_unknown_is_a_dash(value: float | None) -> None:
    assert number(value) == percent(value) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("values", "digits"),
    [
        ([], 2),
        ([math.nan], 2),
        ([0.0, 0.0], 2),
        ([-3.0, 900.0], 2),
        ([0.0, 0.05], 3),
        ([0.001, 0.003, math.nan], 4),
        ([0.003], 4),  # nothing to tell apart: two digits of the value itself
        ([0.003, 0.003 + 1e-12], 4),
        ([5.0, 5.0004], 5),
        ([0.0, 1e-30], 8),
    ],
)
def test_decimals_tell_values_apart(values: list[float], digits: int) -> None:
    assert decimals(values) == digits


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


def test_a_prompt_is_cut_at_its_words_in_order_and_nothing_is_lost() -> None:
    fox, red = WordLabel("fox", 8, 11, 0.8), WordLabel("red", 3, 6, 0.2)
    expected = [(" a ", None), ("red", red), ("  ", None), ("fox", fox), ("!", None)]
    assert pieces(" a red  fox!", [fox, red]) == expected
    assert pieces("", []) == []


def test_markdown_shows_a_text_as_it_is() -> None:
    text = "![x](http://y) <b> | a_b* `c` # $d$ ~~e~~\n- f"
    shown = in_markdown(text)
    assert "\n" not in shown
    assert re.sub(r"\\(.)", r"\1", shown) == text.replace("\n", " ")
    assert not re.search(r"(?<!\\)[\[\]<>|*_`#$~]", shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://x.org", r"https\://x.org"),
        ("FTP://x.org", r"FTP\://x.org"),
        ("www.x.org", r"www\.x.org"),
        ("mailto:a@b.co", r"mailto\:a\@b.co"),
        ("&lt;b&gt;", r"\&lt;b\&gt;"),
        ("@name", r"\@name"),
        ("note: 3.5", "note: 3.5"),
    ],
)
def test_no_bare_address_character_or_name_comes_alive(text: str, shown: str) -> None:
    assert in_markdown(text) == shown
    plain = html.unescape(MarkdownIt().render(shown))  # what a reader sees is the text itself
    assert plain == f"<p>{text}</p>\n"
