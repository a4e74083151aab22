"""What evaluate and power tell a person."""

import math

from beholder._verbs import evaluate_text as texts
from beholder.eval.evaluation_differences import Difference
from beholder.eval.evaluation_record import PairData, Published
from beholder.eval.power import Gap, Width, needed
from beholder.eval.preference import evaluate
from beholder.eval.table_scores import TableScores
from beholder.types import Preference

ROWS = [
    {"key": "a", "image": "/p/a.png", "prompt": "x", "r.total": 2.0},
    {"key": "b", "image": "/p/b.png", "prompt": "x", "r.total": 1.0},
    {"key": "c", "image": "/p/c.png", "prompt": "x", "r.total": 1.0},
]
OWN = Published(reward="mps", data="HPDv2 test", percent=83.5, protocol="mean", source="README")


def pairs(*sides: str) -> list[Preference]:
    return [
        Preference(
            key=side, prompt="x", first=f"/p/{side[0]}.png", second=f"/p/{side[1]}.png",
            p_first={"overall": 1.0, "detail": 1.0},
        )
        for side in sides
    ]  # fmt: skip


def test_the_published_figure_stands_beside_overall_alone() -> None:
    result = evaluate(TableScores(ROWS, "r"), pairs("ab", "az"), draws=10)
    data = PairData(name="d", split="test", preferences=(), rows_left_out={"no label": 4})
    text = texts.evaluation_text("r", result, data, [OWN])
    assert text.splitlines()[0].startswith("r on d test, protocol imagereward/1: pairs ordered")
    assert "published for mps" in text
    rows = [line for line in text.splitlines() if "1.000 [1.000, 1.000]" in line]
    assert [("83.5 %" in row, row.split()[0]) for row in rows] == [
        (True, "overall"),
        (False, "detail"),
    ]
    assert "1 pictures have no score; 1 pairs with them do not count" in text
    assert "4 rows left out: no label" in text
    assert "the reward has no score of its own for detail; its total decides" in text


def test_credit_for_equal_scores_is_told_where_it_is_given() -> None:
    scores, said = TableScores(ROWS, "r"), pairs("ab", "bc")
    data = PairData(name="d", preferences=())
    told = "2 pairs have equal scores, which this protocol counts as right"
    assert told in texts.evaluation_text(
        "r", evaluate(scores, said, protocol="hpdv2", draws=1), data
    )
    assert "equal scores" not in texts.evaluation_text("r", evaluate(scores, said, draws=1), data)


def test_a_tie_threshold_is_told_with_where_it_comes_from() -> None:
    result = evaluate(
        TableScores(ROWS, "r"), pairs("ab"), protocol="pickapic", tie_threshold=0.2, draws=1
    )
    text = texts.evaluation_text("r", result, PairData(name="d", preferences=()))
    assert "tie threshold (given): overall 0.2, detail 0.2" in text


def test_names_cannot_break_out_of_their_line() -> None:
    data = PairData(name="d\n\x1b[31m", preferences=())
    text = texts.evaluation_text(
        "r\n", evaluate(TableScores(ROWS, "r"), pairs("ab"), draws=1), data
    )
    assert "\x1b" not in text
    assert text.splitlines()[0].startswith("r on d [31m, protocol")


def test_a_difference_stands_with_its_interval_and_both_p_values() -> None:
    difference = Difference(
        first="a", second="b", aspect="overall", accuracy_first=0.6, accuracy_second=0.5,
        difference=0.1, low=0.05, high=0.15, p=0.00002, p_holm=0.04, pairs=9, prompts=7,
        deviation=0.3, flips=128, draws=10, seed=0,
    )  # fmt: skip
    text = texts.differences_text([difference])
    for part in ("a - b", "0.100 [0.050, 0.150]", "2e-05", "0.04"):
        assert part in text


def test_published_figures_name_their_protocols() -> None:
    text = texts.published_text([OWN])
    assert text.startswith("published for HPDv2 test; figures of two protocols do not compare")
    assert "83.5 %" in text
    assert "README" in text


def test_power_is_a_table_and_sentences() -> None:
    open_question = Gap(
        first="a", second="b", of="s", difference=0.1, low=-0.1, high=0.3, deviation=1.0, prompts=50
    )
    text = texts.power_text([needed(open_question)])
    assert "787" in text
    assert "no number" in text
    assert "787 prompts tell a difference of 0.1 apart with probability 0.8" in text


def test_unknown_widths_are_said_to_be_unknown() -> None:
    width = Width(
        of="overall", accuracy=0.6, prompts=1, within_now=math.nan, within=0.02, needed=None
    )
    text = texts.width_text("d, protocol x", [width])
    assert "prompts for +-0.02" in text
    assert "no number" in text


def test_a_record_is_named_by_data_protocol_and_date() -> None:
    record = {"data": {"name": "d", "split": ""}, "protocol": "mhp/1", "date": "2026-01-01"}
    assert texts.record_title(record) == "d, protocol mhp/1, 2026-01-01"
