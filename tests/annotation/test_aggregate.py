import random

import pytest

from beholder.annotation.aggregate import by_reliability, by_votes
from beholder.annotation.label_studio import parse_export
from tests.annotation.records import comparison, real_tasks


def test_votes_are_the_mean_of_wins_and_half_ties() -> None:
    """Two for the first, a tie, one for the second: (1 + 1 + 0.5 + 0) / 4."""
    rows = [comparison("k", f"p{n}", value) for n, value in enumerate((-1, -1, 0, 1))]
    (found,) = by_votes(rows)
    assert (found.first, found.second) == ("k-a", "k-b")
    assert found.p_first == {"overall": 0.625}
    assert found.votes == {"overall": 4}


def test_the_real_export_by_hand() -> None:
    """pair-0000, without the ground truth: left tie right / 3 ties / right tie right / 3 ties."""
    found = by_votes(parse_export(real_tasks())[0])
    assert len(found) == 10
    assert found[0].p_first == pytest.approx(
        {"aesthetics": 0.5, "detail": 0.5, "alignment": 1 / 6, "overall": 0.5}
    )
    assert set(found[0].votes.values()) == {3}


def test_a_pair_that_nobody_answered_gives_no_preference() -> None:
    skipped = comparison("k", "x", 1, ranks={}, flags=frozenset({"skipped"}))
    assert by_votes([skipped]) == []
    assert by_reliability([skipped]).preferences == []


def test_which_flags_are_left_out_is_a_choice() -> None:
    rows = [comparison("k", "x", -1), comparison("k", "y", 1, flags=frozenset({"unknown_user"}))]
    assert by_votes(rows)[0].p_first == {"overall": 0.5}
    assert by_votes(rows, exclude={"unknown_user"})[0].p_first == {"overall": 1.0}


def test_an_annotator_who_reverses_everything_is_turned_round() -> None:
    generator = random.Random(0)
    truth = {f"k{n}": generator.choice((-1, 1)) for n in range(60)}
    rows = [
        comparison(key, who, value * sign)
        for key, value in truth.items()
        for who, sign in (("good", 1), ("fair", 1), ("liar", -1))
    ]
    weighted = by_reliability(rows)
    assert weighted.reliability["overall"]["liar"] < 0.1
    assert weighted.reliability["overall"]["good"] > 0.9
    for preference in weighted.preferences:
        p = preference.p_first["overall"]
        assert p > 0.9 if truth[preference.key] == -1 else p < 0.1
        assert preference.votes == {"overall": 3}


def test_the_same_pictures_asked_twice_share_their_answers() -> None:
    once = comparison("k", "x", -1, images=("a", "b"))
    mirrored = comparison("k-again", "y", 1, images=("b", "a"))
    one, other = by_reliability([once, mirrored]).preferences
    assert (one.first, other.first) == ("a", "b")
    assert one.p_first["overall"] == pytest.approx(1 - other.p_first["overall"])
    assert one.p_first["overall"] > by_reliability([once]).preferences[0].p_first["overall"]


def test_a_picture_against_itself_is_even() -> None:
    same = comparison("k", "x", 1, images=("a", "a"))
    assert by_reliability([same]).preferences[0].p_first == {"overall": 0.5}
