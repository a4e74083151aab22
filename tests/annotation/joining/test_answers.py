from beholder.annotation.joining.answers import (
    CHECKS,
    DOUBTFUL,
    answered,
    answers_without,
    aspect_order,
    by_aspect,
    by_pair,
    counted_answers,
)
from tests.annotation.samples import comparison


def test_a_ranking_of_three_gives_three_pairs_and_a_tie() -> None:
    three = comparison("k", "x", 0, images=("a", "b", "c"), ranks={"overall": (1, 2, 2)})
    found = {(a.pair.first, a.pair.second): a.value for a in counted_answers([three])}
    assert found == {("a", "b"): -1, ("a", "c"): -1, ("b", "c"): 0}


def test_answers_agree_on_the_first_picture_whatever_the_order_of_their_records() -> None:
    one = comparison("k", "x", -1, images=("a", "b"))
    turned = comparison("k", "y", -1, images=("b", "a"))
    answers = counted_answers([one, turned])
    assert answers[0].pair == answers[1].pair
    assert [a.value for a in answers] == [-1, 1]


def test_doubtful_answers_do_not_count_but_partial_ones_do() -> None:
    rows = [comparison("k", f, 1, flags=frozenset({f})) for f in (*DOUBTFUL, "partial")]
    assert [a.annotator for a in counted_answers(rows)] == ["partial"]
    assert len(counted_answers(rows, exclude=())) == len(rows)


def test_the_canonical_aspects_come_first() -> None:
    assert aspect_order(["zeal", "overall", "charm", "detail"]) == [
        "detail",
        "overall",
        "charm",
        "zeal",
    ]


def test_flagged_records_keep_their_answers_until_they_are_left_out() -> None:
    rows = [comparison("k", "x", 1), comparison("k", "y", -1, flags=frozenset({"gold"}))]
    records = list(answered(rows))
    assert [comparison for comparison, _ in records] == rows
    assert [a.annotator for a in answers_without(records, DOUBTFUL)] == ["x"]
    assert [a.annotator for a in answers_without(records, DOUBTFUL - CHECKS)] == ["x", "y"]


def test_answers_are_grouped_by_pair_and_by_aspect() -> None:
    ranks = {"overall": (1, 2), "detail": (2, 1)}
    rows = [comparison("k", "x", 1, ranks=ranks), comparison("m", "x", 1), comparison("k", "y", 0)]
    answers = counted_answers(rows)
    assert {pair.key: len(unit) for pair, unit in by_pair(answers).items()} == {"k": 3, "m": 1}
    assert {a: [x.value for x in mine] for a, mine in by_aspect(answers).items()} == {
        "detail": [1],
        "overall": [-1, 1, 0],
    }
    assert list(by_aspect(answers)) == ["detail", "overall"]
