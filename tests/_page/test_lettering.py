import pytest
from PIL import Image, ImageDraw

from beholder._page import lettering
from beholder._page.lettering import Piece, draw_piece, face_for, faces, set_lines, width_of
from beholder._page.wording import pieces
from beholder.types import WordLabel
from tests._page.feedbacks import labelled
from tests._page.photographs import HOSTILE, LONG

SIZE = 20


def cut(prompt: str) -> list[tuple[str, WordLabel | None]]:
    return pieces(prompt, labelled(prompt, [0.5]))


def texts(lines: list[list[Piece]]) -> list[str]:
    return ["".join(piece.text for piece in line) for line in lines]


@pytest.mark.parametrize("prompt", [LONG, HOSTILE, "a\n\n  red \t fox", "赤い猫、白い犬" * 9])
@pytest.mark.parametrize("width", [40, 300, 5000])
def test_lines_fit_and_nothing_is_lost(prompt: str, width: int) -> None:
    lines = set_lines(cut(prompt), SIZE, width)
    assert all(line[0].x >= 0 and line[-1].x + line[-1].width <= width + 1e-6 for line in lines)
    shown = "".join(texts(set_lines(cut(prompt), SIZE, 10**6)))
    assert sorted("".join(texts(lines)).replace(" ", "")) == sorted(shown.replace(" ", ""))


def test_words_touch_their_punctuation_and_spaces_end_lines() -> None:
    width = int(width_of("red fox,", SIZE)) + 4
    assert texts(set_lines(cut("red fox, hen"), SIZE, width)) == ["red fox,", "hen"]
    narrower = int(width_of("red fox", SIZE))
    assert texts(set_lines(cut("red fox, hen"), SIZE, narrower)) == ["red", "fox,", "hen"]


def test_chinese_breaks_between_any_two_characters() -> None:
    width = int(width_of("猫", SIZE) * 2.5)
    assert texts(set_lines(cut("赤猫白犬鳥"), SIZE, width)) == ["赤猫", "白犬", "鳥"]


def test_a_word_wider_than_its_line_breaks_anywhere_and_stays_one_word() -> None:
    lines = set_lines(cut("mmmmm"), SIZE, int(width_of("m", SIZE) * 2.5))
    assert texts(lines) == ["mm", "mm", "m"]
    assert {piece.word.word for line in lines for piece in line if piece.word} == {"mmmmm"}


def test_lines_beyond_the_most_end_in_an_ellipsis() -> None:
    width = int(width_of("one two", SIZE)) + 4
    lines = set_lines(cut("one two six ten red"), SIZE, width, most=2)
    assert texts(lines)[0] == "one two"
    assert texts(lines)[1].endswith("…")
    assert lines[1][-1].x + lines[1][-1].width <= width
    assert texts(set_lines(cut("one two"), SIZE, width, most=1)) == ["one two"]


def test_an_empty_text_is_one_empty_line() -> None:
    assert set_lines([], SIZE, 100) == [[]]
    assert set_lines(cut("   "), SIZE, 100) == [[]]


def test_hebrew_runs_from_the_right_with_its_latin_words_in_place() -> None:
    (line,) = set_lines(cut("שלום red fox עולם"), SIZE, 500)
    assert [piece.text for piece in line] == ["עולם", " ", "red", " ", "fox", " ", "שלום"]
    assert line[-1].x + line[-1].width == pytest.approx(500)
    assert [piece.text for piece in line if piece.is_reversed and piece.word] == ["עולם", "שלום"]


def test_hebrew_words_within_latin_keep_their_order_from_the_right() -> None:
    (line,) = set_lines(cut("a שלום עולם b"), SIZE, 500)
    assert [piece.text for piece in line] == ["a", " ", "עולם", " ", "שלום", " ", "b"]
    assert line[0].x == 0


@pytest.mark.parametrize(
    ("levels", "order"),
    [
        ([], []),
        ([0, 0], [0, 1]),
        ([0, 1, 1, 0], [0, 2, 1, 3]),
        ([1, 2, 2, 1], [3, 1, 2, 0]),
        ([1, 2, 1, 2], [3, 2, 1, 0]),
    ],
)
def test_rule_l2_by_hand(levels: list[int], order: list[int]) -> None:
    assert lettering._visual(levels) == order


def test_plain_letters_come_from_the_face_of_pillow_and_others_from_one_that_draws_them() -> None:
    assert face_for("fox", SIZE) is faces(SIZE)[0]
    if len(faces(SIZE)) > 1:
        assert face_for("é", SIZE) is not faces(SIZE)[0]


@pytest.mark.parametrize("text", ["fox", "猫", "שלום", "(", "\U0010ffff", "🧑‍🚀"])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_every_text_leaves_ink(text: str, is_reversed: bool) -> None:
    picture = Image.new("L", (200, 40), 255)
    piece = Piece(text, is_reversed=is_reversed)
    draw_piece(ImageDraw.Draw(picture), piece, (10, 30), SIZE, "black")
    assert min(picture.tobytes()) < 100


def test_a_bracket_that_reads_from_the_right_is_mirrored() -> None:
    def ink(text: str, *, is_reversed: bool) -> bytes:
        picture = Image.new("L", (40, 40), 255)
        piece = Piece(text, is_reversed=is_reversed)
        draw_piece(ImageDraw.Draw(picture), piece, (10, 30), SIZE, "black")
        return picture.tobytes()

    assert ink("(", is_reversed=True) == ink(")", is_reversed=False)
