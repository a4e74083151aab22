"""What annotators marked, drawn: points over a picture, words in its prompt."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from beholder._page.document import TONES
from beholder._page.wording import visible
from beholder.annotation.joining.heatmaps import PAPER
from beholder.types import MAPS, Rating
from beholder.words import label_words


def points_overlay(ratings: Sequence[Rating], width: int, height: int) -> Markup:
    """Every annotator's points as rings in the annotator's colour, for a picture of that size.

    A ring has the radius of a point's disc in a heatmap. Implausible places have a whole ring,
    misaligned ones a dashed one. The drawing lies on the picture as `object-fit: contain` does.
    """
    radius = round(PAPER.radius * height, 1)
    rings = [
        Markup(
            '<circle class="{} tone-{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>'
        ).format(
            "whole" if kind == MAPS[0] else "dashed",
            person % TONES,
            round(point.x * width, 1),
            round(point.y * height, 1),
            radius,
            visible(f"{kind}, {rating.annotator}"),
        )
        for person, rating in enumerate(ratings)
        for kind, points in rating.points.items()
        for point in points
    ]
    frame = Markup('<svg class="points" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return frame.format(width, height, f"{len(rings)} marked places", Markup().join(rings))


def marked_prompt(ratings: Sequence[Rating]) -> list[tuple[str, int]]:
    """The prompt cut at its words: (text, how many annotators say that the picture misses it)."""
    prompt = ratings[0].prompt
    pieces: list[tuple[str, int]] = []
    at = 0
    for word in label_words(prompt, [rating.misaligned for rating in ratings]):
        pieces.append((prompt[at : word.start], 0))
        pieces.append((word.word, round(word.p_misaligned * len(ratings))))
        at = word.end
    return [(text, count) for text, count in [*pieces, (prompt[at:], 0)] if text]
