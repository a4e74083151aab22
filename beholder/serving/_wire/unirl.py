"""UniRL's POST /score: requests to items, answers to results.

A request is {"history": [{"text", "image_b64"}], "required_rewards": […]}; of a history the last
turn counts. The answer has an entry for each: {name: {"total": 0.3, aspect: …}} in `results`, and
{name: why} in `errors` for a reward that could not score. UniRL takes the first number of a reward
unless it is told otherwise, so that is the total.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beholder.errors import DataError
from beholder.serving._wire.reading import a_list, a_picture, a_text, an_object
from beholder.serving.items import Answer, Fault, Item, Scored

PROTOCOL = "1"

_IDENTITY = (
    "request_id",
    "sample_id",
    "group_id",
    "source_rank",
    "policy_version",
    "idempotency_key",
)
_WHOLE_REQUEST = "request"
_MOST_REWARDS = 64

Errors = dict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A body that was read.

    Attributes:
        items: what is to be scored.
        rows: of `items`, the request that each stands for.
        errors: of every request, why it, or a reward that it wants, cannot be asked.
        identities: of every request, what its answer repeats.
    """

    items: Sequence[Item]
    rows: Sequence[int]
    errors: Sequence[Errors]
    identities: Sequence[Mapping[str, Any]]


def read(body: object, served: Collection[str], meant: Collection[str] = ()) -> Asked:
    """What is asked of the rewards that are `served`.

    A request whose `required_rewards` are empty wants those that are `meant`. One that cannot be
    read, or wants none, has an error under each reward that it wants, or under "request".

    Raises:
        DataError: if the body is no object with `requests`, or of another protocol version.
    """
    fields = an_object(body, "the body")
    if (version := fields.get("protocol_version", PROTOCOL)) != PROTOCOL:
        raise DataError(f"protocol_version must be {PROTOCOL!r}, got {_shown(version)}")
    requests = a_list(fields, "requests")
    errors: list[Errors] = [{} for _ in requests]
    asked = {row: _item(one, served, meant, errors[row]) for row, one in enumerate(requests)}
    items = {row: item for row, item in asked.items() if item is not None}
    return Asked(list(items.values()), list(items), errors, [_identity(one) for one in requests])


def answer(asked: Asked, answers: Sequence[Answer]) -> dict[str, Any]:
    """The body of the answer, from one `Answer` an item; every number in it is finite."""
    results: list[dict[str, dict[str, float]]] = [{} for _ in asked.errors]
    errors = [dict(one) for one in asked.errors]
    for row, found in zip(asked.rows, answers, strict=True):
        results[row] = {name: _numbers(scored) for name, scored in found.scores.items()}
        errors[row] |= {name: told(fault) for name, fault in found.faults.items()}
    return {
        "protocol_version": PROTOCOL,
        "results": results,
        "errors": errors,
        "identities": list(asked.identities),
    }


def told(fault: Fault) -> str:
    """A fault as one text."""
    return f"{fault.code}: {fault.message}"


def _item(
    request: object, served: Collection[str], meant: Collection[str], errors: Errors
) -> Item | None:
    """What a request asks; None, with its errors noted, where there is nothing to score."""
    names: tuple[str, ...] = ()
    try:
        fields = an_object(request, "a request")
        names = _names(a_list(fields, "required_rewards") or [*meant], served)
        turn = _last_turn(a_list(fields, "history"))
        prompt, picture = a_text(turn.get("text"), "text"), turn.get("image_b64")
        known = tuple(name for name in names if name in served)
        item = Item(picture=a_picture(picture, "image_b64"), prompt=prompt, rewards=known)
    except DataError as error:
        errors |= dict.fromkeys(names or (_WHOLE_REQUEST,), str(error))
        return None
    here = ", ".join(served)
    errors |= {n: f"no reward named {n!r} here; served: {here}" for n in names if n not in known}
    return item if known else None


def _names(names: Sequence[object], served: Collection[str]) -> tuple[str, ...]:
    if not names:
        here = ", ".join(served)
        raise DataError(f"no reward is wanted; name some of {here} in required_rewards")
    if len(names) > _MOST_REWARDS:  # each that is not served costs a sentence of the answer
        raise DataError(f"{len(names)} required_rewards, at most {_MOST_REWARDS} are taken")
    return tuple(dict.fromkeys(map(str, names)))


def _last_turn(history: Sequence[object]) -> Mapping[str, Any]:
    if not history:
        raise DataError("history is empty; it needs a turn with text and image_b64")
    return an_object(history[-1], "a turn")


def _numbers(scored: Scored) -> dict[str, float]:
    known = {name: value for name, value in scored.aspects.items() if value is not None}
    return {"total": scored.total, **known}


def _identity(request: object) -> dict[str, Any]:
    given = request if isinstance(request, Mapping) else {}
    return {key: given.get(key) for key in _IDENTITY} | {"scorer_version": None}


def _shown(value: object) -> str:
    return repr(value)[:40]
