import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from beholder._page.document import TEMPLATES as SHARED
from beholder.errors import DataError
from beholder.eval._report.page import TEMPLATES
from beholder.eval.report import (
    MOST_PICTURES,
    AccuracyRow,
    Disagreement,
    FilterSummary,
    PictureFeedback,
    RankRow,
    Report,
    ScoredPicture,
    Unread,
    report_from_table,
    write_report,
)
from beholder.types import WordLabel

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>' & {{ 7 * 7 }} \x07\u202e\ud800"
PIXELS = torch.zeros(3, 8, 8, dtype=torch.uint8)
POLICY = (
    r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    r"script-src 'sha256-[A-Za-z0-9+/]{43}='; base-uri 'none'; form-action 'none'"
)


class Page(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def hostile_report() -> Report:
    shown = ScoredPicture(
        image=PIXELS, prompt=HOSTILE, total=1.0, aspects={HOSTILE: 1.0}, name=HOSTILE, group=HOSTILE
    )
    gone = replace(shown, image=f"/nowhere/{HOSTILE.replace('/', '')}.png")
    accuracy = AccuracyRow(aspect=HOSTILE, method=HOSTILE, accuracy=0.9, low=0.8, high=1, pairs=9)
    return Report(
        title=HOSTILE,
        summary=HOSTILE,
        notice=HOSTILE,
        protocol={HOSTILE: HOSTILE},
        accuracy=[accuracy],
        ranking=[RankRow(name=HOSTILE, strength=0.0, low=-1.0, high=1.0)],
        not_told_apart=[[HOSTILE]],
        best=[shown],
        worst=[gone],
        disagreements=[
            Disagreement(
                prompt=HOSTILE, first=PIXELS, second=PIXELS, people={HOSTILE: 1.0}, model={}
            )
        ],
        feedback=[
            PictureFeedback(
                image=PIXELS,
                prompt=HOSTILE,
                scores={HOSTILE: 0.5},
                maps={HOSTILE: torch.ones(2, 2)},
                words=[WordLabel(HOSTILE, 0, len(HOSTILE), 1.0)],
            )
        ],
        distributions={HOSTILE: {HOSTILE: [1.0, 2.0]}},
        filtered=FilterSummary(rule=HOSTILE, kept=1, dropped=2, reasons={HOSTILE: 2}),
        unread=[Unread(name=HOSTILE, code=HOSTILE, reason=HOSTILE)],
        commands=[HOSTILE],
        methods=[HOSTILE],
    )


def test_no_text_of_the_user_becomes_markup(tmp_path: Path) -> None:
    page = Page(write_report(hostile_report(), tmp_path / "report.html"))
    assert page.all("script") == [{}], "the page's own, which its policy names"
    assert not any("onerror" in attributes for _, attributes in page.elements)
    kinds = {str(img["src"]).partition(";")[0] for img in page.all("img")}
    assert kinds == {"data:image/webp", "data:image/png"}
    assert "{{ 7 * 7 }}" in page.text
    assert not set(page.text) & {"\x07", "\u202e", "\ud800"}
    assert "\\x07\\u202e\\ud800" in page.text


def test_the_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    page = Page(write_report(hostile_report(), tmp_path / "report.html"))
    (policy,) = (m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert re.fullmatch(POLICY, str(policy))
    addresses = [
        str(attributes[name])
        for _, attributes in page.elements
        for name in ("src", "href", "srcset", "action", "poster", "data", "background")
        if name in attributes
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    sheets = (TEMPLATES / "report.css", SHARED / "page.css", SHARED / "feedback.css")
    style = "".join(sheet.read_text() for sheet in sheets)
    assert "url(" not in style
    assert "@import" not in style


def test_every_picture_has_a_text_and_every_link_its_target(tmp_path: Path) -> None:
    page = Page(write_report(hostile_report(), tmp_path / "report.html"))
    assert all("alt" in img for img in page.all("img"))
    ids = [str(attributes["id"]) for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(link["href"]).removeprefix("#") for link in page.all("a")} <= set(ids)
    assert all(plot.get("aria-hidden") or plot.get("aria-label") for plot in page.all("svg"))


def test_a_picture_that_cannot_be_read_becomes_a_card_with_the_reason(tmp_path: Path) -> None:
    pictures = [
        ScoredPicture(image=tmp_path / "gone.png", prompt="a fox", total=1.0),
        ScoredPicture(image=PIXELS, prompt="a hen", total=0.0),
    ]
    page = Page(write_report(Report(title="t", best=pictures), tmp_path / "report.html"))
    cards = [d for d in page.all("div") if d.get("class") == "missing"]
    assert len(cards) == 1
    assert "gone.png" in str(cards[0]["aria-label"])
    assert len(page.all("img")) == 1
    assert "a hen" in page.text


def test_a_long_prompt_folds_and_is_still_whole(tmp_path: Path) -> None:
    prompt = "word " * 400
    report = Report(title="t", best=[ScoredPicture(image=PIXELS, prompt=prompt, total=1.0)])
    page = Page(write_report(report, tmp_path / "report.html"))
    assert [d["class"] for d in page.all("details")] == ["prompt long"]
    assert prompt in page.text


def test_a_report_that_fails_leaves_the_old_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_report(Report(title="old"), tmp_path / "deep" / "report.html")
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_report(Report(title="new"), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_more_pictures_than_fit_on_a_page_are_refused(tmp_path: Path) -> None:
    many = [ScoredPicture(image=PIXELS, prompt="", total=1.0)] * (MOST_PICTURES + 1)
    with pytest.raises(DataError, match="at most 160 fit on one page"):
        write_report(Report(title="t", best=many), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def table_row(key: str, total: float | None, **more: object) -> dict[str, object]:
    return {
        "key": key,
        "image": f"{key}.png",
        "prompt": "p",
        "mps.total": total,
        "mps.detail": total,
        "clipscore.total": 0.5,
        **more,
    }


def test_a_table_becomes_a_report() -> None:
    rows = [
        table_row("a", 1.0, model="m1"),
        table_row("b", 3.0, model="m2"),
        table_row("c", 2.0, model="m1"),
        table_row("d", None, model="m1", error="truncated: the file ends early"),
    ]
    report = report_from_table(rows, reward="mps", group="model", count=1)
    assert [p.name for p in (*report.best, *report.worst)] == ["b.png", "a.png"]
    assert report.best[0].aspects == {"detail": 3.0}
    assert report.best[0].group == "m2"
    spread = {name: list(scores["detail"]) for name, scores in report.distributions.items()}
    assert spread == {"m1": [1.0, 2.0], "m2": [3.0]}
    assert report.unread == [Unread(name="d.png", code="truncated", reason="the file ends early")]
    assert report.protocol == {"reward": "mps", "pictures": "4"}


def test_the_error_of_another_reward_does_not_hide_a_score() -> None:
    row = table_row("a", 1.0) | {"clipscore.error": "non-finite: nan", "mps.error": ""}
    report = report_from_table([row], reward="mps")
    assert len(report.best) == 1
    assert report.unread == []
    assert list(report.distributions) == ["all pictures"]


def test_a_score_that_is_not_finite_without_a_reason_is_still_reported() -> None:
    report = report_from_table([table_row("a", math.nan)], reward="mps")
    assert [entry.code for entry in report.unread] == ["non-finite"]


def test_a_reward_that_the_table_does_not_hold_is_named() -> None:
    with pytest.raises(
        DataError, match=r"no hps\.total; the table has clipscore\.total, mps\.total"
    ):
        report_from_table([table_row("a", 1.0)], reward="hps")
