import html
import re

from beholder._notebook.framed import framed

PAGE = (
    '<!doctype html><html><head><meta charset="utf-8"></head><body>"1" &amp; <b>2</b></body></html>'
)


def test_the_page_comes_back_whole_out_of_a_frame_that_shares_no_origin() -> None:
    frame = framed(PAGE, 'a "page" & more')
    assert frame.count("<") == 2, "all of the page is in an attribute"
    (inside,) = re.findall(r'srcdoc="([^"]*)"', frame)
    assert html.unescape(inside).replace('<base href="about:srcdoc">', "") == PAGE
    assert 'sandbox="allow-scripts"' in frame
    assert 'title="a &quot;page&quot; &amp; more"' in frame


def test_links_to_parts_of_the_page_stay_in_the_frame() -> None:
    assert html.escape('<head><base href="about:srcdoc"><meta') in framed(PAGE, "")
