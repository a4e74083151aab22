import math
import re
from itertools import pairwise

import torch

from beholder._page import plots
from beholder.eval._report import page
from beholder.eval._report.page import (
    aspects_of,
    peak_share,
    prompt_pieces,
    render,
    shown_scores,
)
from beholder.eval.report import (
    ExplainedPicture,
    Gallery,
    PictureFeedback,
    RankRow,
    Report,
    ScoredPicture,
    Unread,
)
from beholder.types import ASPECTS, Explanation, WordLabel, WordRelevance


def test_the_aspects_of_mps_come_first_and_others_keep_their_order() -> None:
    picture = ScoredPicture(image="a", prompt="", total=0.0, aspects={"zeal": 1.0, "detail": 2.0})
    assert aspects_of(Report(title="t", best=[picture])) == [*ASPECTS, "zeal"]


def test_scales_hold_every_score_of_the_report() -> None:
    picture = ScoredPicture(image="a", prompt="", total=9.0, aspects={"detail": 5.0})
    found = shown_scores(
        Report(title="t", best=[picture], distributions={"m": {"detail": [-1.0, 1.0, 2.0]}})
    )
    assert found == {"detail": [5.0, -1.0, 2.0], "total": [9.0]}


def test_small_scores_are_written_with_their_digits() -> None:
    shown = [
        ScoredPicture(image=f"{k}.png", prompt="", total=0.0031 + 0.0004 * k) for k in range(3)
    ]
    html = render(Report(title="t", best=shown))
    assert re.findall(r'class="value">([^<]*)<', html) == ["0.00310", "0.00350", "0.00390"]


def explanation(*words: WordRelevance) -> Explanation:
    return Explanation("alignment", 0.5, words, torch.full((2, 2), 0.25))


def test_a_prompt_is_cut_at_its_words_and_nothing_is_lost() -> None:
    prompt = " a red  fox!"
    words = [
        WordRelevance("fox", 8, 11, 0.8, kept=True),
        WordRelevance("red", 3, 6, 0.2, kept=False),
    ]
    pieces = prompt_pieces(prompt, explanation(*words))
    assert pieces == [
        (" a ", 0.0, None),
        ("red", 0.25, False),
        ("  ", 0.0, None),
        ("fox", 1.0, True),
        ("!", 0.0, None),
    ]
    assert prompt_pieces(prompt, explanation()) == [(prompt, 0.0, None)]


def test_relevance_that_is_zero_everywhere_stays_zero() -> None:
    pieces = prompt_pieces("fox", explanation(WordRelevance("fox", 0, 3, 0.0, kept=True)))
    assert pieces == [("fox", 0.0, True)]


def test_the_peak_is_the_fullest_bar_of_any_group() -> None:
    axis = plots.Axis.over([0.0, 1.0])
    assert peak_share({"a": [0.0, 1.0], "b": [0.0, 0.0, 0.0, 1.0]}, axis) == 0.75
    assert peak_share({"a": [math.nan]}, axis) == 1


def test_kept_words_are_marked_and_dropped_ones_struck() -> None:
    words = [
        WordRelevance("<b>", 0, 3, 0.5, kept=True),
        WordRelevance("fox", 4, 7, 0.1, kept=False),
    ]
    picture = ExplainedPicture(
        image=torch.zeros(3, 8, 8), prompt="<b> fox", explanations=[explanation(*words)]
    )
    html = render(Report(title="t", explanations=[picture]))
    assert '<mark style="--r:1.0" title="kept, relevance 1.0">&lt;b&gt;</mark> <s title=' in html
    assert "1 of 2 words kept" in html
    assert "Kept: &lt;b&gt;. Dropped: fox." in html
    assert html.count("data:image/png;base64,") == 1


def test_a_section_without_data_is_absent() -> None:
    assert re.findall("<h2", render(Report(title="t"))) == []
    html = render(Report(title="t", ranking=[RankRow(name="a", strength=0.0, low=0.0, high=0.0)]))
    assert re.findall(r'<h2 id="(\w+)-name"', html) == ["ranking"]


def test_headings_never_skip_a_level() -> None:
    rows = [RankRow(name="a", strength=0.0, low=-1.0, high=1.0)]
    html = render(
        Report(title="t", ranking=rows, distributions={"a": {"detail": [1.0]}}, methods=["m"])
    )
    levels = [int(level) for level in re.findall(r"<h(\d)", html)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in pairwise(levels))


def test_a_long_list_of_unread_pictures_is_cut_but_counted() -> None:
    unread = [Unread(name=f"n{k}", code="missing", reason="gone") for k in range(1000)]
    html = render(Report(title="t", unread=unread))
    assert "1,000 without a score" in html
    assert html.count("<li><code>missing</code>") == page.UNREAD_NAMED
    assert f"The first {page.UNREAD_NAMED} by name" in html


def test_what_is_wrong_where_shows_every_panel_and_brings_its_style() -> None:
    said = PictureFeedback(
        image=torch.zeros(3, 8, 8),
        prompt="a fox",
        scores={"overall": 0.5},
        maps={"misalignment": torch.full((2, 2), 0.25)},
        words=[WordLabel("fox", 2, 5, 0.75)],
    )
    html = render(Report(title="t", feedback=[said, said]))
    assert html.count("data:image/webp;base64,") == 4
    assert html.count("data:image/png;base64,") == 2
    assert html.count(">fox</s>") == 2
    assert html.count(".fb-ramp {") == html.count("<style>") == 1
    assert re.findall(r'<h2 id="(\w+)-name">(.*?)</h2>', html) == [
        ("faults", "What is wrong where")
    ]


def noise(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, 300, 300), dtype=torch.uint8, generator=generator)


def test_a_page_stays_below_its_bytes_and_says_how_many_pictures_it_shows() -> None:
    shown = [ScoredPicture(image=noise(k), prompt="p", total=float(k)) for k in range(8)]
    gallery = Gallery(
        pictures=shown, ranges={"total": (0.0, 7.0)}, of=1234, how="They were chosen by lot."
    )
    report = Report(title="t", best=shown[:1], gallery=gallery)
    whole = render(report)
    assert "8 of 1,234 pictures with a score, at most 512 pixels a side" in whole
    assert "They were chosen by lot." in whole
    rest = len(render(Report(title="t", best=shown[:1])))
    most = rest + page.CONTROLS_BYTES + 60_000
    assert len(whole) > most
    small = render(report, most)
    assert len(small.encode()) <= most
    assert re.search(r"\d more did not fit on one page", small)


def test_pictures_of_the_gallery_are_known_wherever_they_are_drawn() -> None:
    shown = ScoredPicture(image=noise(0), prompt="p", total=1.0)
    other = ScoredPicture(image=noise(1), prompt="p", total=0.0)
    gallery = Gallery(pictures=[other, shown], ranges={"total": (0.0, 1.0)}, of=2)
    html = render(Report(title="t", best=[shown], gallery=gallery))
    assert re.findall(r'data-picture="(\d+)"', html) == ["1"]


def test_the_protocol_stands_at_the_foot() -> None:
    html = render(Report(title="t", protocol={"torch": "2.11"}, best=[]))
    assert html.index("Protocol and versions") < html.index("2.11")
    assert html.index('<footer id="methods"') < html.index("Protocol and versions")
    assert page.label("mps.total") == "mps"
    assert (page.label("total"), page.label("total", "mps")) == ("score", "mps")
