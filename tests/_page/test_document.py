import base64
import hashlib
import re
from pathlib import Path

import pytest

from beholder._page.document import TEMPLATES, TONES, Figure, Page, render_page, write_whole

HOSTILE = "<script>alert(1)</script>\u202e\x07"
CSS = (TEMPLATES / "page.css").read_text()
COLOURS = re.findall(r"--([\w-]+): (#[0-9a-f]{6})", CSS)
LIGHT, DARK = dict(COLOURS[: len(COLOURS) // 2]), dict(COLOURS[len(COLOURS) // 2 :])


def luminance(colour: str) -> float:
    channels = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_colour_has_the_contrast_that_wcag_asks_for(scheme: dict[str, str]) -> None:
    texts = ["ink", "soft", "accent", *(f"c{k}" for k in range(TONES))]
    for ground in ("paper", "tint"):
        for text in texts:
            assert contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground)
    assert contrast(scheme["warn"], scheme["warn-tint"]) >= 4.5
    assert contrast(scheme["ink"], scheme["warn-tint"]) >= 4.5


def test_each_scheme_defines_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    (tmp_path / "findings.html.j2").write_text(
        '{% import "parts.html.j2" as parts %}'
        '{% call parts.margin("findings", "Findings") %}{% endcall %}'
        '<p class="{{ name | tone }}">{{ name }} {{ share | percent }}</p>'
    )
    return tmp_path


def test_a_section_is_its_template_filled_with_the_values(templates: Path) -> None:
    page = Page(brand="b", title="t", sections={"findings": "Findings"})
    html = render_page(page, templates, ["x", "detail"], {"name": "detail", "share": 0.25})
    assert '<p class="tone-1">detail 25\u00a0%</p>' in html
    assert '<h2 id="findings-name">Findings</h2>' in html
    assert "<nav" not in html, "one section needs no contents"


def test_the_frame_shows_what_is_given_and_nothing_else(templates: Path) -> None:
    bare = render_page(Page(brand="b", title="t"), templates, [], {})
    for element in ("lede", "notice", "headline", "protocol", "<nav", "<footer", "<section"):
        assert element not in bare.partition("<body>")[2]
    figure = Figure(name="detail", value="0.81", aside="0.7 to 0.9")
    page = Page(
        brand="b",
        title=HOSTILE,
        summary=HOSTILE,
        notice=HOSTILE,
        figures=[figure],
        figures_are="alpha",
        protocol={HOSTILE: HOSTILE},
        commands=[HOSTILE],
        methods=[HOSTILE],
    )
    html = render_page(page, templates, [], {})
    assert "<script" not in html
    assert "\u202e" not in html
    assert '<span class="figure">0.81</span>' in html
    assert html.count("alert(1)") == 8, "the title stands in the head and on the page"


def test_a_ninth_name_shares_a_colour(templates: Path) -> None:
    names = [f"n{k}" for k in range(TONES + 1)]
    page = Page(brand="b", title="t", sections={"findings": "Findings"})
    for name, tone in (("n0", 0), ("n8", 0), ("another", 7)):
        html = render_page(page, templates, names, {"name": name, "share": None})
        assert f'class="tone-{tone}"' in html


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_whole(tmp_path / "deep" / "page.html", "old\n")
    assert path.read_bytes() == b"old\n"

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new\n")
    assert path.read_text() == "old\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]


def test_bytes_and_text_are_written_as_they_are(tmp_path: Path) -> None:
    assert write_whole(tmp_path / "a.png", b"\x89PNG\r\n\xff").read_bytes() == b"\x89PNG\r\n\xff"
    assert write_whole(tmp_path / "a.html", "é\n").read_bytes() == b"\xc3\xa9\n"


def test_a_page_with_scripts_lets_run_those_alone(templates: Path) -> None:
    (templates / "one.js").write_text("const a = '<b>{{ 1 }} {}';\n")
    (templates / "two.js").write_text("a;\n")
    html = render_page(Page(brand="b", title="t", scripts=["one.js", "two.js"]), templates, [], {})
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert "const a = '<b>{{ 1 }} {}';\n\na;" in script
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; base-uri" in html
    plain = render_page(Page(brand="b", title="t"), templates, [], {})
    assert "script" not in plain


def test_both_schemes_can_be_forced(templates: Path) -> None:
    html = render_page(Page(brand="b", title="t"), templates, [], {})
    assert html.count(f"--paper: {DARK['paper']}") == 2
    assert "{{" not in html
    assert ":root[data-theme=light] { color-scheme: light }" in html
