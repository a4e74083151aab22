from dataclasses import replace

import torch

from beholder.demo.judging import Judgement, Judges, Verdict
from beholder.demo.panels import cards_panel, meaning, pair_panel, picture_panel, share, style
from beholder.rewards import RewardCard, load
from tests._page.photographs import HOSTILE
from tests.rewards.tinies import richhf

CARD = RewardCard(name="mine", paper="a paper", measures="charm", score_range=(-1.0, 1.0))
SAID = Judgement(reward="mine", card=CARD, total=0.5, aspects={"detail": -0.25})


def test_a_score_stands_in_its_range_with_what_it_means() -> None:
    shown = picture_panel([replace(SAID, wins=0.875)])
    assert "measures charm" in shown
    assert "-1 to 1, higher is better" in shown
    assert 'style="width: 75.0%"' in shown
    assert "<dt>detail</dt><dd>-0.25</dd>" in shown
    assert "prefer it to 88\N{NO-BREAK SPACE}% of the reference pictures" in shown


def test_a_reason_that_all_share_stands_alone_and_others_beside_their_reward() -> None:
    bad = replace(SAID, why="unreadable: no picture")
    assert picture_panel([bad, bad]).count("unreadable: no picture") == 1
    beside = picture_panel([bad, SAID])
    assert "unreadable: no picture" in beside
    assert ">0.5<" in beside


def test_maps_and_struck_words_are_drawn() -> None:
    said = Judges({"rich": richhf.tiny()}).picture(torch.rand(3, 40, 60), "a <b>fox</b>")
    shown = picture_panel(said)
    assert shown.count('class="fb-heat"') == 2
    assert "<b>fox" not in shown
    assert ".fb-heat" in style()


def test_texts_of_strangers_are_escaped() -> None:
    card = replace(CARD, measures=HOSTILE)
    hostile = Judgement(reward=HOSTILE, card=card, total=0.5, aspects={HOSTILE: 1.0})
    gone = replace(hostile, why=HOSTILE)
    pages = [
        picture_panel([hostile, gone]),
        pair_panel([Verdict(left=hostile, right=gone, preferred="neither")]),
        pair_panel([Verdict(left=hostile, right=hostile, preferred="left")]),
    ]
    for page in pages:
        assert "<script" not in page
        assert "\u202e" not in page


def test_a_verdict_says_who_is_preferred_and_how_likely_or_that_it_is_not_known() -> None:
    likely = Verdict(left=SAID, right=SAID, preferred="left", likely=0.75, judged=1204)
    shown = pair_panel([likely])
    assert ">left</p>" in shown
    assert "left 75\N{NO-BREAK SPACE}%" in shown
    assert "right 25\N{NO-BREAK SPACE}%" in shown
    assert "1,204 judged pairs" in shown
    unknown = pair_panel([Verdict(left=SAID, right=SAID, preferred="neither")])
    assert "a tie" in unknown
    assert "no calibration" in unknown


def test_a_range_without_end_has_no_bar() -> None:
    endless = replace(CARD, score_range=(0.0, float("inf")))
    assert share(0.5, endless) is None
    assert share(2.0, CARD) == 100.0
    assert share(float("nan"), CARD) is None
    assert "bd-bar" not in picture_panel([replace(SAID, card=endless)])


def test_cards_are_shown_under_the_names_of_the_command_line() -> None:
    assert "<caption>mine</caption>" in cards_panel({"mine": load("tiny")})
    assert meaning(replace(CARD, measures="")) == "a paper"
