"""Flow-Factory's POST /compute: {"prompt": […], "image": [base64, …]} to {"rewards": [0.3, …]}.

Its answer has no place for the reason of one row. If one picture has no score there are no rewards
but {"error": why}, at which Flow-Factory's client stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beholder.errors import DataError
from beholder.serving._wire.reading import a_list, a_picture, a_text, an_object
from beholder.serving._wire.unirl import told
from beholder.serving.items import Answer, Fault, Item

_SHOWN_FAULTS = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """A body that was read.

    Attributes:
        reward: that is asked.
        items: a picture with its prompt each; none if there is an error.
        error: why no row can be answered; "" if they can.
    """

    reward: str
    items: Sequence[Item]
    error: str = ""


def read(body: object, reward: str) -> Asked:
    """What is asked of a reward.

    Raises:
        DataError: if the body is no object with lists of prompts and pictures.
    """
    fields = an_object(body, "the body")
    prompts, encoded = a_list(fields, "prompt"), a_list(fields, "image")
    if len(prompts) != len(encoded):
        why = f"{len(encoded)} pictures but {len(prompts)} prompts; give one prompt a picture"
        return Asked(reward, (), why)
    try:
        pairs = enumerate(zip(prompts, encoded, strict=True))
        return Asked(reward, [_item(k, *pair, reward) for k, pair in pairs])
    except DataError as error:
        return Asked(reward, (), str(error))


def answer(asked: Asked, answers: Sequence[Answer], *, aspect: str = "total") -> dict[str, Any]:
    """The body of the answer, from one `Answer` an item; every number in it is finite."""
    if asked.error:
        return {"rewards": [], "error": asked.error}
    rows = [_value(one, asked.reward, aspect) for one in answers]
    faults = {row: told(value) for row, value in enumerate(rows) if isinstance(value, Fault)}
    if faults:
        return {"rewards": [], "error": _summary(faults, len(rows))}
    return {"rewards": rows}


def _item(row: int, prompt: object, encoded: object, reward: str) -> Item:
    return Item(
        picture=a_picture(encoded, f"image {row}"),
        prompt=a_text(prompt, f"prompt {row}"),
        rewards=(reward,),
    )


def _value(found: Answer, reward: str, aspect: str) -> float | Fault:
    if reward not in found.scores:
        return found.faults[reward]
    scored = found.scores[reward]
    value = scored.total if aspect == "total" else scored.aspects.get(aspect)
    return value if value is not None else Fault("no-aspect", f"{aspect} has no score")


def _summary(faults: Mapping[int, str], of: int) -> str:
    shown = "; ".join(f"row {row}: {why}" for row, why in list(faults.items())[:_SHOWN_FAULTS])
    more = "; …" if len(faults) > _SHOWN_FAULTS else ""
    return f"{len(faults)} of {of} pictures have no score ({shown}{more}); look at what made them"
