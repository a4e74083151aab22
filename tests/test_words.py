import random
from itertools import pairwise

import pytest

from beholder.words import label_words, richhf_spans, word_spans


def words(prompt: str) -> list[str]:
    return [prompt[start:end] for start, end in word_spans(prompt)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red fox, oil painting", ["a", "red", "fox", "oil", "painting"]),
        ('"why?" he  asked: x;y 3.5!', ["why", "he", "asked", "x", "y", "3", "5"]),
        ("state-of-the-art café — it's", ["state-of-the-art", "café", "—", "it's"]),
        (" ,.?!;: ", []),
        ("", []),
    ],
)
def test_words_are_cut_as_in_richhf_18k(prompt: str, expected: list[str]) -> None:
    assert words(prompt) == expected
    assert richhf_spans(prompt) == word_spans(prompt)


def test_other_white_space_cuts_too_though_not_in_the_published_words() -> None:
    prompt = "two apples\non a\ttable\u3000here"
    assert words(prompt) == ["two", "apples", "on", "a", "table", "here"]
    assert len(richhf_spans(prompt)) == 3


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("猫が宇宙で泳ぐ 🚀 — naïve", [*"猫が宇宙で泳ぐ", "🚀", "—", "naïve"]),
        ("红色的狐狸,3只。“好”", [*"红色的狐狸", "3", "只", "“", "好", "”"]),
        ("4k猫photo", ["4k", "猫", "photo"]),
        ("แมวที่น่ารัก", ["แ", "ม", "ว", "ที่", "น่", "า", "รั", "ก"]),
        ("빨간 여우", ["빨간", "여우"]),
        ("か\u3099く", ["か\u3099", "く"]),
    ],
)
def test_scripts_without_spaces_are_cut_at_every_character(
    prompt: str, expected: list[str]
) -> None:
    assert words(prompt) == expected


def test_words_never_overlap_or_cross_a_published_word() -> None:
    generator = random.Random(0)
    letters = 'ab é猫が宇่ทแ,.。!"—🚀\n'
    for _ in range(200):
        prompt = "".join(generator.choices(letters, k=20))
        spans = word_spans(prompt)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        for start, end in spans:
            assert any(s <= start < end <= e for s, e in richhf_spans(prompt))


def test_a_word_is_marked_by_half_of_its_characters() -> None:
    def marked(*spans: tuple[int, int]) -> list[str]:
        return [w.word for w in label_words("abcd efg", [spans]) if w.p_misaligned == 1]

    assert marked((0, 1)) == []
    assert marked((0, 2)) == ["abcd"]
    assert marked((0, 1), (3, 4)) == ["abcd"]
    assert marked((0, 1), (0, 1)) == []
    assert marked((5, 6)) == []
    assert marked((5, 7)) == ["efg"]
    assert marked((2, 7)) == ["abcd", "efg"]


def test_the_share_of_annotators_who_mark_a_word() -> None:
    labels = label_words("a red fox", [((2, 5),), ((2, 9),), ()])
    assert [(w.word, w.start, w.end) for w in labels] == [("a", 0, 1), ("red", 2, 5), ("fox", 6, 9)]
    assert [w.p_misaligned for w in labels] == [0, 2 / 3, 1 / 3]
    assert [w.p_misaligned for w in label_words("a red fox", [])] == [0, 0, 0]
