import json
import math
from pathlib import Path

import pytest

from beholder.annotation.trust.rating_agreement import (
    counted_ratings,
    rated_aspects,
    rating_agreement,
)
from beholder.types import RATED, Point, Rating
from tests.annotation.trust._agreement.sample import PEOPLE, ratings

PROMPT = "a red fox, asleep"
HERE, NEAR, FAR = Point(0.25, 0.25), Point(0.25, 0.28), Point(0.75, 0.75)


def rated(key: str, who: str, value: float = 0.5, **changes: object) -> Rating:
    given = {"prompt": PROMPT, "image": f"{key}.png", "values": {"overall": value}, **changes}
    return Rating(key=key, annotator=who, **given)  # type: ignore[arg-type]


def marked(key: str, who: str, *points: Point) -> Rating:
    return rated(key, who, points={"implausibility": points})


def test_near_and_equal_ratings_by_hand() -> None:
    """k: 2 and 3 stars, near; m: 1 and 1, equal; n: 1 and 4, far apart; o: alone."""
    pairs = {"k": (0.25, 0.5), "m": (0.0, 0.0), "n": (0.0, 0.75)}
    rows = [
        rated(k, who, v) for k, values in pairs.items() for who, v in zip("xy", values, strict=True)
    ]
    found = rating_agreement([*rows, rated("o", "x", 1.0)]).aspects["overall"]
    assert (found.answers, found.tasks) == (7, 3)
    assert found.mean == pytest.approx(2.5 / 7)
    assert (found.near.value, found.equal.value) == pytest.approx((2 / 3, 1 / 3))


def test_words_agree_if_the_same_ones_are_marked() -> None:
    """fox by both, red by one, a and asleep by none."""
    fox, red = (6, 9), (2, 5)
    rows = [rated("k", "x", misaligned=(fox,)), rated("k", "y", misaligned=(red, fox))]
    found = rating_agreement(rows).words
    assert (found.tasks, found.words, found.marked) == (1, 4, 3 / 8)
    # D_o = 2 / 8, D_e = 2 * 3 * 5 / (8 * 7)
    assert found.alpha.value == pytest.approx(1 - (2 / 8) / (30 / 56))


def test_a_span_that_covers_most_of_a_word_marks_it() -> None:
    rows = [rated("k", "x", misaligned=((6, 8),)), rated("k", "y", misaligned=((6, 9),))]
    assert rating_agreement(rows).words.alpha.value == 1


def test_points_agree_if_their_discs_overlap() -> None:
    rows = [marked("k", "x", HERE), marked("k", "y", HERE)]
    rows += [marked("m", "x", HERE), marked("m", "y", FAR)]
    rows += [marked("n", "x"), marked("n", "y")]
    rows += [marked("o", "x", HERE), marked("o", "y")]
    found = rating_agreement(rows).points["implausibility"]
    assert (found.tasks, found.neither) == (4, 1 / 4)
    assert found.iou.value == pytest.approx((1 + 0 + 1 + 0) / 4)
    assert found.iou_marked.value == pytest.approx((1 + 0 + 0) / 3)


def test_the_overlap_of_two_discs_is_that_of_circles() -> None:
    """Centres 0.6 radii apart: the lens is 2 acos(0.3) - 0.6 sqrt(1 - 0.09) of r^2."""
    rows = [marked("k", "x", HERE), marked("k", "y", NEAR)]
    lens = 2 * math.acos(0.3) - 0.6 * math.sqrt(1 - 0.09)
    found = rating_agreement(rows).points["implausibility"].iou.value
    assert found == pytest.approx(lens / (2 * math.pi - lens), abs=0.08)


def test_kinds_of_points_are_kept_apart() -> None:
    rows = [marked("k", "x", HERE), rated("k", "y", points={"misalignment": (HERE,)})]
    points = rating_agreement(rows).points
    assert points["implausibility"].iou.value == points["misalignment"].iou.value == 0


def test_doubtful_ratings_do_not_count() -> None:
    rows = [rated("k", "x"), rated("k", "y", flags=frozenset({"skipped"}))]
    assert [r.annotator for r in counted_ratings(rows)["k"]] == ["x"]
    report = rating_agreement(rows)
    assert (report.overlap.shared, report.words.tasks) == (0, 0)
    assert math.isnan(report.points["misalignment"].iou.value)


def test_aspects_stand_in_the_order_of_the_template() -> None:
    groups = {"k": [rated("k", "x", values=dict.fromkeys(["zeal", *reversed(RATED)], 0.5))]}
    assert rated_aspects(groups) == [*RATED, "zeal"]


def test_simulated_annotators_give_one_report_of_plain_numbers(tmp_path: Path) -> None:
    rows, tasks = ratings(tmp_path)
    report = rating_agreement(rows, tasks=tasks, overlap_percent=100)
    assert list(report.aspects) == list(RATED)
    assert (report.gold_tasks, report.overlap.shared, report.overlap.wanted) == (4, 20, 1)
    severe = list(PEOPLE)[2]
    offsets = {who: found.consensus.offset for who, found in report.annotators.items()}
    assert min(offsets, key=offsets.__getitem__) == severe
    assert report.aspects["overall"].alpha_interval.value > 0.4
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))
