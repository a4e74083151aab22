from html.parser import HTMLParser

from beholder._notebook.sheet import ROWS, Drawn, Sheet
from tests._page.photographs import HOSTILE

PICTURE = Drawn("data:image/png;base64,AA==", "a fox")


class Elements(HTMLParser):
    """Names of the elements of a text, and what is not markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.data = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        self.data += data


def test_text_is_aligned_numbers_to_the_right_and_pictures_are_left_out() -> None:
    sheet = Sheet(
        title="Two foxes",
        header=["picture", "prompt", "total"],
        rows=[[PICTURE, "a red fox", 0.5], ["gone.png", "狐", None]],
        notes=["one is gone"],
    )
    assert sheet.text().splitlines() == [
        "Two foxes",
        "prompt     total",
        "a red fox    0.5",
        "狐             \N{EN DASH}",
        "one is gone",
    ]


def test_rows_without_a_header_are_names_and_values_and_further_sheets_follow() -> None:
    sheet = Sheet(title="a", rows=[["key", "value"]], further=[Sheet(title="b", rows=[])])
    assert sheet.text() == "a\nkey  value\n\nb"
    assert Elements(sheet.html()).names.count("table") == 2


def test_rows_beyond_the_first_are_counted_and_not_shown() -> None:
    sheet = Sheet(title="many", rows=[[str(k)] for k in range(ROWS + 5)], unlisted=7)
    assert "and 12 more rows" in sheet.text()
    assert Elements(sheet.html()).names.count("tr") == ROWS


def test_every_text_is_escaped_and_long_ones_are_cut() -> None:
    sheet = Sheet(
        title=HOSTILE,
        header=[HOSTILE],
        rows=[[HOSTILE], [Drawn('x" onerror="alert(1)', HOSTILE)], ["long " * 2000]],
        notes=[HOSTILE],
    )
    page = Elements(sheet.html())
    assert set(page.names) == {
        *("div", "style", "table", "caption", "thead", "tbody", "tr", "th", "td", "p", "img")
    }
    assert page.data.count("<script>alert") == 4  # title, header, row and note
    assert "\u202e" not in sheet.html()
    assert 'onerror="' not in sheet.html()
    assert len(sheet.text()) < 3000


def test_html_asks_nothing_of_the_network_and_runs_nothing() -> None:
    html = Sheet(title="a", header=["b"], rows=[[PICTURE]]).html()
    assert "http" not in html
    assert "url(" not in html
    assert "script" not in html
