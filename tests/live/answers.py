"""What people answer on a live server, through its API."""

from collections.abc import Mapping
from typing import Any

from beholder.annotation.server.connection import Connection

Result = list[dict[str, Any]]


def choices(answers: Mapping[str, str]) -> Result:
    """Result items of the pairwise template: control -> "left", "tie" or "right"."""
    return [
        {"from_name": c, "to_name": "prompt", "type": "choices", "value": {"choices": [label]}}
        for c, label in answers.items()
    ]


def ratings(stars: Mapping[str, int]) -> Result:
    """Result items of the RichHF template: aspect -> 1 to 5."""
    return [
        {"from_name": a, "to_name": "image", "type": "rating", "value": {"rating": n}}
        for a, n in stars.items()
    ]


def point(label: str, x: float, y: float) -> dict[str, Any]:
    """A point of the RichHF template, in percent of the picture."""
    value = {"x": x, "y": y, "width": 1.0, "keypointlabels": [label]}
    sizes = {"original_width": 16, "original_height": 12, "image_rotation": 0}
    item = {"from_name": "points", "to_name": "image", "type": "keypointlabels", "value": value}
    return {**item, **sizes}


def span(prompt: str, word: str) -> dict[str, Any]:
    """A misaligned word of the RichHF template."""
    start = prompt.index(word)
    value = {
        "start": start,
        "end": start + len(word),
        "text": word,
        "labels": ["misaligned_word"],
    }
    return {"from_name": "words", "to_name": "prompt", "type": "labels", "value": value}


def answer(person: Connection, task: int, result: Result, **more: object) -> None:
    """Submit an annotation as this person."""
    person.write(
        "answering",
        person.client.annotations.create,
        task,
        result=result,
        request_options={"max_retries": 0},
        **more,
    )
