from beholder.annotation.answers import DOUBTFUL, aspect_order, counted_answers
from tests.annotation.records import comparison


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


def test_doubtful_answers_do_not_count_but_partial_and_anonymous_ones_do() -> None:
    rows = [comparison("k", f, 1, flags=frozenset({f})) for f in (*DOUBTFUL, "partial")]
    rows.append(comparison("k", "unknown", 1, flags=frozenset({"unknown_user"})))
    assert [a.annotator for a in counted_answers(rows)] == ["partial", "unknown"]
    assert len(counted_answers(rows, exclude=())) == len(rows)


def test_the_canonical_aspects_come_first() -> None:
    assert aspect_order(["zeal", "overall", "charm", "detail"]) == [
        "detail",
        "overall",
        "charm",
        "zeal",
    ]
