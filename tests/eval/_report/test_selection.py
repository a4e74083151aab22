import math

import pytest

from beholder.errors import DataError
from beholder.eval._report.selection import sigmoid
from beholder.eval.report import ScoredPicture, best_and_worst, disagreements
from beholder.types import Preference


def pictures(*totals: float) -> list[ScoredPicture]:
    return [ScoredPicture(image=f"{t}", prompt="", total=t, aspects={"detail": -t}) for t in totals]


def names(shown: list[ScoredPicture]) -> list[str]:
    return [str(picture.image) for picture in shown]


def test_best_come_best_first_and_worst_come_worst_first() -> None:
    best, worst = best_and_worst(pictures(1, 5, 3, 2, 4), count=2)
    assert names(best) == ["5", "4"]
    assert names(worst) == ["1", "2"]


def test_an_aspect_can_decide() -> None:
    best, worst = best_and_worst(pictures(1, 5, 3), by="detail", count=1)
    assert (names(best), names(worst)) == (["1"], ["5"])


def test_no_picture_is_both_best_and_worst() -> None:
    best, worst = best_and_worst(pictures(1, 2, 3), count=6)
    assert names(best) == ["3", "2"]
    assert names(worst) == ["1"]
    assert best_and_worst([], count=6) == ([], [])


def test_pictures_without_a_finite_score_are_neither() -> None:
    best, worst = best_and_worst(pictures(math.nan, 1, 2), count=3)
    assert names([*best, *worst]) == ["2", "1"]


def test_zero_pictures_are_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        best_and_worst(pictures(1), count=0)


def preference(key: str, **p_first: float) -> Preference:
    return Preference(key=key, prompt="p", first="a", second="b", p_first=p_first)


SCORES = {
    ("a", "p"): {"detail": 2.0, "overall": 0.0},
    ("b", "p"): {"detail": 0.0, "overall": 0.0, "alignment": math.nan},
}


def test_the_widest_gap_comes_first() -> None:
    asked = [
        preference("0.48", detail=0.4),
        preference("0.88", detail=0.0),
        preference("0.68", detail=0.2),
    ]
    found = disagreements(asked, SCORES)
    assert [pair.people["detail"] for pair in found] == [0.0, 0.2, 0.4]
    assert found[0].model["detail"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert len(disagreements(asked, SCORES, count=1)) == 1


def test_leaning_to_one_side_is_no_disagreement_however_unsure() -> None:
    assert disagreements([preference("same side", detail=0.51)], SCORES) == []


def test_undecided_unscored_and_non_finite_pairs_are_no_disagreement() -> None:
    asked = [
        preference("undecided", detail=0.5),
        preference("no score", aesthetics=1.0),
        preference("not finite", alignment=1.0),
        Preference(key="unread", prompt="other", first="a", second="b", p_first={"detail": 0.0}),
    ]
    assert disagreements(asked, SCORES) == []


def test_one_aspect_can_be_compared_alone() -> None:
    asked = [preference("x", detail=0.0, overall=0.6), preference("y", detail=1.0, overall=1.0)]
    assert [pair.people["overall"] for pair in disagreements(asked, SCORES, aspect="overall")] == [
        1.0,
        0.6,
    ]


def test_sigmoid_is_exact_at_zero_and_saturates_without_overflow() -> None:
    assert sigmoid(0.0) == 0.5
    assert sigmoid(math.log(3)) == pytest.approx(0.75)
    assert (sigmoid(-1e6), sigmoid(1e6)) == (0.0, 1.0)
