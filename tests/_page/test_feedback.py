import math
import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

from beholder._page.feedback import Bar, PictureFeedback
from beholder.errors import DataError, ImageError
from beholder.types import Feedback, Scores, WordLabel
from tests._page.feedbacks import labelled, said_of
from tests._page.photographs import HOSTILE

GREY = Image.new("RGB", (60, 40), (128, 128, 128))


def scores() -> Scores:
    return Scores(
        total=torch.tensor([0.25, math.nan]),
        aspects={"overall": torch.tensor([0.25, math.nan]), "plausibility": torch.tensor([0.5, 0])},
        maps={"implausibility": torch.stack([torch.full((2, 2), 0.75), torch.zeros(2, 2)])},
        words=(labelled("a fox", [0.0, 1.0]), ()),
        errors={1: "truncated: 'b.png': the file ends early"},
        sizes=((40, 60), (0, 0)),
    )


def test_a_row_of_scores_becomes_feedback() -> None:
    said = PictureFeedback.of(GREY, "a fox", scores(), 0)
    assert said.scores == {"overall": 0.25, "plausibility": 0.5}
    assert torch.equal(said.maps["implausibility"], torch.full((2, 2), 0.75))
    assert [word.word for word in said.words] == ["a", "fox"]


def test_a_reward_without_aspects_maps_and_words_shows_its_total() -> None:
    said = PictureFeedback.of(GREY, "a fox", Scores(total=torch.tensor([0.25])))
    assert said.bars == [Bar("total", 0.25)]
    assert [panel.name for panel in said.panels] == ["picture"]
    assert "fb-scale" not in said.fragment()
    assert "<s " not in said.fragment()


def test_a_picture_without_a_score_is_refused_with_its_reason() -> None:
    with pytest.raises(ImageError, match="the file ends early") as caught:
        PictureFeedback.of(GREY, "a fox", scores(), 1)
    assert caught.value.code == "truncated"


def people() -> Feedback:
    return Feedback(
        key="k",
        prompt="a fox",
        image="elsewhere.png",
        values={"overall": 1.0, "alignment": 0.0},
        maps={"implausibility": torch.tensor([[0, 255]], dtype=torch.uint8)},
        words=labelled("a fox", [1.0, 0.0]),
        votes=3,
    )


def test_what_people_said_has_the_same_scale() -> None:
    said = PictureFeedback.from_people(people(), GREY)
    assert said.maps["implausibility"].tolist() == [[0.0, 1.0]]
    assert said.image is GREY
    assert PictureFeedback.from_people(people()).image == "elsewhere.png"


def test_the_truth_stands_beside_each_map_score_and_prompt() -> None:
    both = PictureFeedback.of(GREY, "a fox", scores(), 0).beside(people())
    assert [panel.name for panel in both.panels] == [
        "picture",
        "implausibility, predicted",
        "implausibility, truth",
    ]
    assert both.bars == [
        Bar("overall", 0.25, 1.0),
        Bar("plausibility", 0.5, None),
        Bar("alignment", None, 0.0),
    ]
    assert [(text.said_by, text.misaligned) for text in both.texts] == [
        ("predicted", ["fox"]),
        ("truth", ["a"]),
    ]
    html = both.fragment()
    assert html.count('src="data:image/webp') == 3
    assert html.count('class="fb-heat"') == 2
    assert 'left: 100.0%"' in html
    assert "truth 1.00" in html
    assert "truth –" in html  # noqa: RUF001  (the en dash of an unknown number)


def test_a_truth_without_words_repeats_no_prompt() -> None:
    both = said_of("a red fox").beside(replace(said_of("a red fox"), words=()))
    assert len(both.texts) == 1


def test_only_words_above_one_half_are_struck() -> None:
    said = said_of("a red fox", p_misaligned=[0.5, 0.51, 0.0])
    assert said.texts[0].misaligned == ["red"]
    html = said.fragment()
    assert re.findall("<s .*?>(.*?)</s>", html) == ["red"]
    assert '<s style="--p: 0.51" title="misaligned with probability 0.51">' in html
    assert '<span style="--p: 0.5" title="misaligned with probability 0.50">a</span>' in html
    assert "Misaligned: red." in html


def test_punctuation_between_words_stays() -> None:
    html = said_of('a "red", fox!').fragment()
    text = re.sub("<[^>]*>", "", re.findall('class="fb-prompt".*?</p>', html)[0])
    assert text.partition(">")[2] == "a &#34;red&#34;, fox!"


def test_bars_are_as_long_as_their_scores_and_unknown_ones_are_empty() -> None:
    html = said_of("a fox", scores=(0.62, math.nan, 1.5, 0.0)).fragment()
    assert re.findall(r'<i style="width: (.*?)%"', html) == ["62.0", "100.0", "0.0"]
    assert re.findall(r"<dd>(.*?)</dd>", html) == ["0.62", "–", "1.50", "0.00"]  # noqa: RUF001


def test_no_text_becomes_markup_and_nothing_is_asked_of_the_network() -> None:
    said = replace(said_of(HOSTILE), scores={HOSTILE: 0.5}, maps={HOSTILE: torch.zeros(2, 2)})
    html = said._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert not set(html) & {"\x07", "\u202e"}
    assert not re.search(r"https?:|url\(|@import|javascript:", html)
    assert {address[:10] for address in re.findall('src="(.*?)"', html)} == {"data:image"}


def test_the_fragment_has_its_style_only_in_a_notebook() -> None:
    said = said_of("a fox")
    assert said._repr_html_().startswith("<style>")
    assert "<style" not in said.fragment()
    assert said._repr_html_().endswith(said.fragment())


def test_every_selector_is_scoped() -> None:
    style = said_of("a fox")._repr_html_().partition("</style>")[0]
    rules = re.findall(r"(?m)^ *([^@/{}\n][^{}\n]*?) *\{", style.replace("<style>", ""))
    assert rules
    assert [rule for rule in rules if not rule.startswith(".fb")] == []


def test_a_picture_that_cannot_be_read_says_why_in_each_panel() -> None:
    html = said_of("a fox", image="/nowhere/gone.png").fragment()
    assert html.count("<code>missing</code>") == 3
    assert "<img" not in html
    assert "fb-bars" in html


def test_without_a_prompt_it_says_so() -> None:
    assert "no prompt" in said_of("").fragment()


@pytest.mark.parametrize(
    ("marked", "why"),
    [
        (torch.zeros(1, 2, 2), r"\(1, 2, 2\), expected one \(h, w\)"),
        (torch.zeros(0, 2), r"\(0, 2\), expected"),
        (torch.tensor([[0.0, 1.5]]), r"from 0.0 to 1.5, expected \[0, 1\]"),
        (torch.tensor([[-0.1, 0.5]]), "from -0.1"),
        (torch.tensor([[math.nan, 0.5]]), "from nan"),
    ],
)
def test_a_map_that_is_none_is_refused(marked: torch.Tensor, why: str) -> None:
    with pytest.raises(DataError, match=f"the implausibility map .*{why}"):
        PictureFeedback(image=GREY, prompt="", maps={"implausibility": marked})


def test_a_word_of_any_script_keeps_its_text() -> None:
    prompt = "赤い猫、קפה"
    said = replace(said_of(prompt), words=[WordLabel("קפה", 4, 7, 0.9)])
    assert ">קפה</s>" in said.fragment()
    assert "赤い猫、<s" in said.fragment()
