import random

import pytest

from beholder.errors import DataError
from beholder.rewards._richhf.sentences import Sentence, Walk
from beholder.rewards._richhf.tokens import Spelling

END, MARK, ZERO = 1, 8, 9
A = Spelling((10,), (10, MARK, ZERO))
CAT = Spelling((11, 12), (11, 13, ZERO))  # "ca" "t", but "ca" "t_" "0"
DROPPED = Spelling((), (MARK, ZERO))
SENTENCE = Sentence((A, CAT, A), END)


def test_a_sentence_is_written_word_by_word_with_its_marks() -> None:
    assert SENTENCE.written([False, False, False]) == [10, 11, 12, 10, END]
    assert SENTENCE.written([True, True, False]) == [10, MARK, ZERO, 11, 13, ZERO, 10, END]
    assert Sentence((), END).written([]) == [END]


def test_each_word_is_asked_about_where_its_forms_part() -> None:
    assert SENTENCE.places([False, False, False]) == [1, 2, 4]
    assert SENTENCE.places([True, True, False]) == [1, 4, 7]


def test_a_plain_word_is_told_by_whatever_else_comes_than_the_mark() -> None:
    assert SENTENCE.choices() == [({MARK}, None), ({13}, {12}), ({MARK}, None)]


def test_where_the_mark_may_also_start_what_follows_the_starts_tell() -> None:
    followed = Sentence((A, DROPPED, A), END).choices()
    assert followed == [({MARK}, {MARK, 10}), ({MARK}, None), ({MARK}, None)]


def test_labels_of_another_number_are_refused() -> None:
    with pytest.raises(DataError, match="3 words has labels of 2"):
        SENTENCE.written([True, False])


def test_right_guesses_settle_a_whole_window() -> None:
    walk = Walk(SENTENCE)
    assert [place for place, _ in walk.questions(3)] == [1, 2]
    walk.decide([-1.0, -2.0], end=3)
    assert (walk.settled, walk.known, walk.is_over) == (2, 3, False)
    walk.decide([-3.0], end=6)
    assert (walk.logits, walk.known, walk.is_over) == ([-1.0, -2.0, -3.0], 6, True)


def test_a_wrong_guess_settles_itself_and_what_lies_before_it() -> None:
    walk = Walk(SENTENCE)
    walk.decide([2.0, 1.0, -1.0], end=9)
    assert (walk.marks, walk.settled, walk.known) == ([True, True, False], 1, 2)
    assert [place for place, _ in walk.questions(9)] == [4, 7]
    walk.decide([-1.0, -5.0], end=9)
    assert (walk.marks, walk.settled, walk.known) == ([True, False, False], 2, 5)


def test_what_is_known_ends_before_the_next_question() -> None:
    walk = Walk(Sentence((A, DROPPED), END))
    walk.marks = [True, False]
    walk.decide([-1.0, -1.0], end=9)
    assert (walk.marks, walk.settled, walk.known) == ([False, False], 1, 1)


def test_any_walk_comes_to_its_end_and_gives_what_asking_word_by_word_gives() -> None:
    generator = random.Random(0)
    for _ in range(100):
        sentence = Sentence(generator.choices([A, CAT, DROPPED], k=6), END)
        walk, begin = Walk(sentence), 0
        while not walk.is_over:
            end = begin + generator.randint(1, 8)
            given = sentence.written(walk.marks)
            asked = [place for place, _ in walk.questions(end)]
            assert all(place >= begin for place in asked)
            walk.decide([answer(given[:place], place) for place in asked], end)
            begin = walk.known
        assert (walk.marks, walk.logits) == one_by_one(sentence)


def answer(before: list[int], place: int) -> float:
    """Some logit that depends on everything that was written before."""
    return random.Random(str((before, place))).uniform(-1, 1)


def one_by_one(sentence: Sentence) -> tuple[list[bool], list[float]]:
    marks, logits = [False] * len(sentence.words), []
    for at in range(len(marks)):
        place = sentence.places(marks)[at]
        logits.append(answer(sentence.written(marks)[:place], place))
        marks[at] = logits[-1] > 0
    return marks, logits
