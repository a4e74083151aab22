from beholder.annotation.aggregate import by_votes
from beholder.annotation.card import comparisons_card, preferences_card
from beholder.annotation.label_studio import parse_export
from tests.annotation.records import comparison, real_tasks


def test_the_real_export_in_a_few_lines() -> None:
    rows, _ = parse_export(real_tasks())
    card = comparisons_card(rows)
    assert "29 judgements of 10 questions by 4 annotators." in card
    assert "Flags: ground_truth 1, skipped 2, unknown_user 7." in card
    assert "| overall | 26 | 42.3% | 73.3% | 0.608 |" in card


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


def test_a_notice_comes_before_all_figures() -> None:
    for card in (comparisons_card([], "Simulated."), preferences_card([], "Simulated.")):
        assert card.splitlines()[2:4] == ["Simulated.", ""]
