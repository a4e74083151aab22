import markdown  # type: ignore[import-untyped]
import pytest

from handbook import pieces


def html(text: str) -> str:
    return str(markdown.markdown(text, extensions=["tables"]))


@pytest.mark.parametrize("text", ["a*b*c", "x_y_z", "[1](2)", "`q`", "a < b & c", "1 | 2"])
def test_text_of_a_card_is_shown_as_it_is(text: str) -> None:
    shown = html(pieces.shown(text)).replace("&#124;", "|")
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    assert shown == f"<p>{escaped}</p>"


def test_a_cell_with_a_bar_stays_one_cell() -> None:
    table = pieces.table(["a", "b"], [[pieces.code("x|y"), pieces.shown("1 | 2")]])
    assert html(table).count("<td>") == 2
    assert "x|y</code>" in html(table)


def test_facts_without_a_value_are_left_out() -> None:
    assert pieces.facts({"range": "0 to 1", "aspects": ""}).splitlines()[2:] == [
        "| range | 0 to 1 |"
    ]


def test_a_fence_is_longer_than_any_in_the_text() -> None:
    assert pieces.fenced("```\nx\n```", "text").splitlines()[0] == "````text"


def test_a_page_begins_with_its_title_and_leaves_out_what_is_empty() -> None:
    assert pieces.page("Title", "one", "", "two") == "# Title\n\none\n\ntwo\n"
