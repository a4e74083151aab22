from xml.etree import ElementTree

from beholder.annotation.trust._agreement.drawings import marked_prompt, points_overlay
from beholder.types import Point, Rating


def rated(who: str, *spans: tuple[int, int], **points: tuple[Point, ...]) -> Rating:
    return Rating(
        key="k", prompt=" a red fox!", image="i", annotator=who, misaligned=spans, points=points
    )


def test_a_ring_lies_on_its_point_with_the_radius_of_a_disc() -> None:
    """The radius is a twentieth of the height; the colour is the annotator's."""
    ratings = [
        rated("x", implausibility=(Point(0.5, 0.25),)),
        rated("y", misalignment=(Point(1.0, 0.0),)),
    ]
    root = ElementTree.fromstring(points_overlay(ratings, 320, 200))
    assert root.attrib["viewBox"] == "0 0 320 200"
    whole, dashed = (ring.attrib for ring in root.iter("circle"))
    assert (whole["cx"], whole["cy"], whole["r"]) == ("160.0", "50.0", "10.0")
    assert (whole["class"], dashed["class"]) == ("whole tone-0", "dashed tone-1")
    assert (dashed["cx"], dashed["cy"]) == ("320.0", "0.0")


def test_a_hostile_name_is_escaped() -> None:
    overlay = points_overlay([rated('"><script>\x07', implausibility=(Point(0, 0),))], 10, 10)
    (title,) = ElementTree.fromstring(overlay).iter("title")
    assert title.text == 'implausibility, "><script>\\x07'


def test_a_prompt_is_cut_at_its_words_and_counts_who_marks_them() -> None:
    ratings = [rated("x", (3, 6), (7, 10)), rated("y", (7, 10)), rated("z")]
    pieces = marked_prompt(ratings)
    assert "".join(text for text, _ in pieces) == " a red fox!"
    assert [piece for piece in pieces if piece[1]] == [("red", 1), ("fox", 2)]
