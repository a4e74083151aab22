"""Forty prompts in eight categories, so that a first ranking needs no file.

They ask one thing each, which a look at the picture settles. Forty prompts tell apart what is far
apart; published sets are larger.
"""

from __future__ import annotations

from beholder.prompt_sets._rows import PromptRow, part_of

_PROMPTS = {
    "object": (
        "a photo of a teapot",
        "a photo of an accordion",
        "a photo of a snail",
        "a photo of a lighthouse",
        "a photo of a sewing machine",
    ),
    "colour": (
        "a purple carrot on a white plate",
        "a green bicycle against a brick wall",
        "a blue banana",
        "a red sofa with a yellow cushion",
        "a black swan beside an orange boat",
    ),
    "counting": (
        "two candles on a table",
        "three umbrellas on a beach",
        "four pears in a row",
        "five paper boats in a pond",
        "six keys on a hook board",
    ),
    "position": (
        "a cat under a wooden chair",
        "a lamp to the left of a bed",
        "a clock above a fireplace",
        "a football in front of a tree",
        "a spoon inside a glass jar",
    ),
    "text": (
        'a bakery window with the word "OPEN" painted on it',
        'a road sign that says "SLOW DOWN"',
        'a birthday cake with "40" written in icing',
        'a book cover titled "The Long Winter"',
        'a T-shirt printed with the letters "XYZ"',
    ),
    "action": (
        "a woman repairing a bicycle wheel",
        "two children flying a kite on a hill",
        "a cook tossing vegetables in a pan",
        "a dog jumping over a fence",
        "an old man playing chess in a park",
    ),
    "style": (
        "a harbour at dawn, watercolour",
        "a portrait of an owl, linocut print",
        "a mountain village, pixel art",
        "a bowl of cherries, oil painting with thick brush strokes",
        "a tram in the rain, charcoal drawing",
    ),
    "scene": (
        "a crowded market in a narrow street after rain, lanterns reflected in puddles",
        "the inside of a greenhouse full of ferns, with morning fog on the glass",
        "a snowed-in railway station at night with one lit window",
        "a kitchen table with bread, an open letter and a sleeping cat in afternoon light",
        "a rocky coast with a small white church and sheep on the path that leads to it",
    ),
}


def read(part: str) -> list[PromptRow]:
    """Prompts of one category, or of all if `part` is ""; ConfigError for another category."""
    rows = [PromptRow(text, name) for name, texts in _PROMPTS.items() for text in texts]
    return part_of("starter", part, rows)
