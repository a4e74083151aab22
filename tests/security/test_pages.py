"""No text that anybody gave becomes an element, an attribute, a style or a script of any page.

Each page is tried by a parser, then by a browser without the policy that would stop what came
through: escaping alone has to hold.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typing_extensions import override

from tests._page.browser import CHROMIUM, Browser, browsing
from tests.security.pages import PAGES
from tests.security.poison import FIRED, HOSTILE, plain, poisoned

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted(p for p in (ROOT / "beholder").rglob("templates/*") if p.suffix == ".j2")
ADDRESSES = ("src", "href", "srcset", "action", "formaction", "poster", "data", "xlink:href")
STYLE = re.compile(r"[-\w:;.,%#()/ ]*")  # numbers, names and functions such as linear-gradient()


class Parsed(HTMLParser):
    """Elements with the names of their attributes, what scripts and styles hold, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.shapes: set[tuple[str, str]] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.held: dict[str, list[str]] = {"script": [], "style": []}
        self.text, self.oddities, self._inside = "", 0, ""
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.shapes |= {(tag, name) for name, _ in attrs} | {(tag, "")}
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in self.held:
            self.held[tag].append("")

    @override
    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    @override
    def handle_data(self, data: str) -> None:
        if self._inside in self.held:
            self.held[self._inside][-1] += data
        else:
            self.text += data

    @override
    def handle_comment(self, data: str) -> None:
        self.oddities += 1

    @override
    def unknown_decl(self, data: str) -> None:
        self.oddities += 1

    @override
    def handle_pi(self, data: str) -> None:
        self.oddities += 1


@dataclass(frozen=True)
class Twins:
    """A page of hostile texts, and the same page of plain ones."""

    name: str
    path: Path
    hostile: Parsed
    plain: Parsed


ODD = """[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]
  .filter(a => a.name.startsWith('on') || /^\\s*javascript:/i.test(a.value))
  .map(a => e.tagName + ' ' + a.name))"""
FOREIGN = "document.querySelectorAll('iframe, base, object, embed').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module", params=PAGES)
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    build = PAGES[request.param]
    path = build(tmp_path_factory.mktemp("hostile"), poisoned)
    other = build(tmp_path_factory.mktemp("plain"), plain)
    both = [Parsed(page.read_text(encoding="utf-8")) for page in (path, other)]
    return Twins(request.param, path, *both)


def test_the_texts_are_on_the_page_as_texts(twins: Twins) -> None:
    assert f"<svg/onload={FIRED}>" in twins.hostile.text
    assert "{{ 7*7 }}" in twins.hostile.text
    assert not set(twins.hostile.text) & {"\x07", "\x1b", "\u202e"}


def test_no_element_or_attribute_comes_from_a_text(twins: Twins) -> None:
    assert twins.hostile.shapes <= twins.plain.shapes
    assert twins.hostile.oddities == twins.plain.oddities == 0
    assert not [name for _, name in twins.hostile.shapes if name.startswith("on")]


def test_no_address_or_style_comes_from_a_text(twins: Twins) -> None:
    for tag, name, value in twins.hostile.attributes:
        if name in ADDRESSES:
            assert re.fullmatch(r"#[\w-]+|data:,|data:image/(webp|png);base64,[\w+/=]+", value), tag
        if name in {"style", "id", "class", "for", "http-equiv"}:
            assert STYLE.fullmatch(value), (tag, name, value)
            assert "window" not in value
            assert "evil" not in value


def test_scripts_and_styles_are_the_same_whatever_the_texts(twins: Twins) -> None:
    assert twins.hostile.held["style"] == twins.plain.held["style"]
    mine, other = (_scripts(page) for page in (twins.hostile, twins.plain))
    assert len(mine) == len(other)
    for hostile, harmless in zip(mine, other, strict=True):
        if harmless.startswith("{"):
            assert not set(hostile) & set("<>&\u2028\u2029")
            assert _shape(json.loads(hostile)) == _shape(json.loads(harmless))
        else:
            assert hostile == harmless


def _scripts(page: Parsed) -> list[str]:
    return [script.strip() for script in page.held["script"]]


def _shape(value: object) -> object:
    """Lengths of lists and names of keys; texts and numbers may differ."""
    if isinstance(value, Mapping):
        return {key: _shape(part) for key, part in value.items()}
    return [_shape(part) for part in value] if isinstance(value, list) else None


def test_nothing_runs_in_a_browser(twins: Twins, browser: Browser) -> None:
    browser.open(unguarded(twins.path), width=1200)
    browser.settle()
    if twins.name == "report":  # what the page's own script makes of the texts
        browser.click("#album-view [data-open]")
        browser.press("s")
        browser.settle()
    assert browser.evaluate("window.fired") is None
    assert browser.evaluate(ODD) == []
    assert browser.evaluate(FOREIGN) == 0
    assert browser.evaluate(f"document.body.textContent.includes({json.dumps(FIRED)})")
    sent = [e["params"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    addresses = [each["request"]["url"] for each in sent]
    assert [url for url in addresses if not url.startswith(("file:", "data:"))] == []


def unguarded(path: Path) -> Path:
    html = path.read_text(encoding="utf-8")
    bare, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    assert count == 1
    path.write_text(bare, encoding="utf-8")
    return path


def test_the_texts_are_live(browser: Browser, tmp_path: Path) -> None:
    for k, place in enumerate(("<p>{}</p>", '<p title="{}">x</p>', "<script>'{}'</script>")):
        page = tmp_path / f"{k}.html"
        page.write_text(place.format(HOSTILE), encoding="utf-8")
        browser.open(page, width=800)
        browser.wait_for("window.fired === 1")


def test_every_template_belongs_to_a_page_that_is_tried_here() -> None:
    rooms = {str(p.parent.parent.relative_to(ROOT / "beholder")) for p in TEMPLATES}
    assert rooms == {
        "_page",
        "annotation/trust/_agreement",
        "demo",
        "eval/_calibration",
        "eval/_filter_card",
        "eval/_report",
        "serving",
        "training/_curve",
        "training/_tuning",
    }


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda p: p.name)
def test_no_template_switches_escaping_off_or_writes_into_code(template: Path) -> None:
    text = re.sub(r"'[^'{}]*' \| safe\b", "", template.read_text(encoding="utf-8"))  # constants
    assert not re.search(r"\|\s*(safe|tojson)\b|autoescape|Markup", text)
    assert not re.search(r"\bon\w+\s*=\s*[\"']", re.sub(r"\{%.*?%\}", "", text, flags=re.S))
    assert not re.search(r"=\s*\{\{", text), "an attribute without quotation marks"
    styles = re.findall(r"<style>(.*?)</style>", text, re.S)
    inside = re.findall(r"\{\{(.*?)\}\}", " ".join(styles))
    assert {part.strip() for part in inside} <= {"loop.index0", "column.place"}


@pytest.mark.parametrize("form", sorted((ROOT / "beholder").rglob("templates/*.xml")), ids=str)
def test_forms_show_prompts_as_text_and_hold_nothing_of_the_data(form: Path) -> None:
    """Label Studio escapes what `Text` shows, and takes what `HyperText` shows for markup."""
    text = form.read_text(encoding="utf-8")
    assert '<Text name="prompt" value="$prompt"' in text
    assert set(re.findall(r'value="\$(\w+)"', text)) <= {
        *("prompt", "image", "image_left", "image_right")
    }
    assert not re.search(r"HyperText|<script|javascript:|\bon\w+=|url\(|@import|ENTITY", text, re.I)
