import beholder
from beholder.annotation.forms import richhf
from beholder.annotation.joining.aggregate import by_votes
from beholder.annotation.reading.label_studio import parse_export, parse_tasks
from beholder.annotation.records.card import (
    FeedbackTally,
    comparisons_card,
    preferences_card,
    ratings_card,
)
from beholder.types import Feedback, WordLabel
from tests.annotation.samples import comparison, rating, real_ratings, real_tasks


def test_the_real_export_in_a_few_lines() -> None:
    rows, _ = parse_export(real_tasks())
    card = comparisons_card(rows)
    assert "29 judgements of 10 questions by 4 annotators." in card
    assert "Flags: ground_truth 1, skipped 2, unknown_user 7." in card
    assert "| overall | 19 | 47.4% | 100.0% | 1.000 |" in card


def test_agreement_that_is_not_defined_says_so() -> None:
    assert "| overall | 1 | 0.0% | undefined | undefined |" in comparisons_card(
        [comparison("k", "x", 1)]
    )
    assert "Flags: none." in comparisons_card([])


def test_preferences_count_pairs_answers_and_undecided_ones() -> None:
    rows = [comparison("k", "x", 1), comparison("k", "y", -1), comparison("m", "x", 1)]
    card = preferences_card(by_votes(rows))
    assert "2 pairs of 4 pictures." in card
    assert "| overall | 2 | 3 | 50.0% |" in card


def test_the_real_ratings_in_a_few_lines() -> None:
    card = ratings_card(parse_tasks(real_ratings(), richhf.FORM)[0])
    assert "17 judgements of 6 questions by 3 annotators." in card
    assert "Flags: edited_by_other 2, skipped 1." in card
    assert (
        "The 14 ratings that count mark 25 points of implausibility, 16 points of misalignment"
        in card
    )
    assert "and 3 spans." in card
    assert "| overall | 14 |" in card


def test_ratings_tell_their_mean_and_how_far_they_agree() -> None:
    values = [("k", "x", 0.0), ("k", "y", 0.0), ("m", "x", 1.0), ("m", "y", 0.5)]
    rows = [rating(key, who, values={"overall": value}) for key, who, value in values]
    card = ratings_card([*rows, rating("m", "z", flags=frozenset({"invalid"}))])
    # disagreement 2 * 0.5^2 / 4 within questions, 2 * (2 * 1 + 3 * 0.5^2) / 12 among all values
    assert "| overall | 4 | 0.375 | 0.727 |" in card
    assert "| alignment | 0 | undefined | undefined |" in card


def test_feedback_is_counted_as_it_passes() -> None:
    tally = FeedbackTally()
    words = [WordLabel("a", 0, 1, 0.5), WordLabel("fox", 2, 5, 2 / 3)]
    for value in (0.25, 0.5):
        tally.add(
            Feedback(
                key="k", prompt="a fox", image="x", values={"overall": value}, words=words, votes=3
            )
        )
    card = tally.card()
    assert "2 pictures with 6 ratings behind them." in card
    assert "2 of 4 words are missed" in card
    assert "2 pictures have no maps." in card
    assert "| overall | 2 | 0.375 |" in card


def test_every_card_opens_with_the_notice_and_ends_with_the_version() -> None:
    cards = [
        comparisons_card([], "Simulated."),
        preferences_card([], "Simulated."),
        ratings_card([], "Simulated."),
        FeedbackTally().card("Simulated."),
    ]
    for card in cards:
        assert card.splitlines()[2:4] == ["Simulated.", ""]
        assert card.endswith(f"\n\nWritten by beholder {beholder.__version__}.\n")
