"""Answers of a reward server to the clients of UniRL and Flow-Factory: JSON in, JSON out.

Pure functions; a server adds HTTP, and calls them one at a time. Pictures come as base64 of an
encoded file and nothing else: no path is opened, no pickle is read. A DataError means that the
whole body is not of the protocol, which is status 400.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beholder.errors import BeholderError, DataError
from beholder.rewards import Reward
from beholder.training._adapters.scorer import Scorer
from beholder.types import Scores

_PROTOCOL = "1"
_IDENTITY = (
    "request_id",
    "sample_id",
    "group_id",
    "source_rank",
    "policy_version",
    "idempotency_key",
)
_WHOLE_REQUEST = "request"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request: a picture with its prompt, and which rewards it wants."""

    rewards: tuple[str, ...]
    prompt: str
    picture: bytes


def unirl_response(rewards: Mapping[str, Reward], request: object) -> dict[str, Any]:
    """The answer to UniRL's POST /score.

    `request` is {"requests": [{"history": [{"text", "image_b64"}], "required_rewards": […]}]}; of a
    history the last turn counts. The answer is {"results": [{name: {"total": 0.3, aspect: …}}],
    "errors": [{name: why}], "identities", "protocol_version"}, one entry a request: a reward that
    could not score is in its errors and not in its results. A request that cannot be read has an
    error under each reward that it wants, or under "request".

    Raises:
        DataError: if the body is no object with `requests`, or of another protocol version.
    """
    body = _object(request, "the body")
    if (version := body.get("protocol_version", _PROTOCOL)) != _PROTOCOL:
        raise DataError(f"protocol_version must be {_PROTOCOL!r}, got {version!r}")
    requests = _list(body, "requests")
    errors: list[dict[str, str]] = [{} for _ in requests]
    results: list[dict[str, dict[str, float]]] = [{} for _ in requests]
    asked = {row: one for row, r in enumerate(requests) if (one := _asked(r, errors[row]))}
    for name in dict.fromkeys(name for one in asked.values() for name in one.rewards):
        wanted = {row: one for row, one in asked.items() if name in one.rewards}
        _score(rewards, name, wanted, results, errors)
    identities = [_identity(one) for one in requests]
    return {
        "protocol_version": _PROTOCOL,
        "results": results,
        "errors": errors,
        "identities": identities,
    }


def flow_factory_response(
    reward: Reward, request: object, *, aspect: str = "total"
) -> dict[str, Any]:
    """The answer to Flow-Factory's POST /compute: {"rewards": [0.3, …]}.

    `request` is {"prompt": […], "image": [base64, …]}. If one picture has no score there are no
    rewards but {"error": why}, at which Flow-Factory's client stops: its answer has no place for
    the reason of one row.

    Raises:
        DataError: if the body is no object with lists of prompts and pictures.
        ConfigError: if the reward has no such aspect.
    """
    scorer = Scorer(reward, aspect, "raise")
    body = _object(request, "the body")
    prompts, encoded = _list(body, "prompt"), _list(body, "image")
    try:
        pictures = [_picture(text, f"image {row}") for row, text in enumerate(encoded)]
        return {"rewards": scorer.values(pictures, prompts).tolist()}
    except BeholderError as error:
        return {"rewards": [], "error": str(error)}


def _asked(request: object, errors: dict[str, str]) -> _Asked | None:
    """A request that can be read; None, with its errors noted, where it cannot."""
    names: tuple[str, ...] = ()
    try:
        fields = _object(request, "a request")
        names = tuple(str(name) for name in _list(fields, "required_rewards"))
        return _Asked(names, *_last_turn(_list(fields, "history")))
    except DataError as error:
        errors |= dict.fromkeys(names or (_WHOLE_REQUEST,), str(error))
        return None


def _last_turn(history: Sequence[object]) -> tuple[str, bytes]:
    """Prompt and picture."""
    if not history:
        raise DataError("history is empty; it needs a turn with text and image_b64")
    turn = _object(history[-1], "a turn")
    if not isinstance(text := turn.get("text"), str):
        raise DataError(f"text must be a string, got {type(text).__name__}")
    return text, _picture(turn.get("image_b64"), "image_b64")


def _score(
    rewards: Mapping[str, Reward],
    name: str,
    wanted: Mapping[int, _Asked],
    results: Sequence[dict[str, dict[str, float]]],
    errors: Sequence[dict[str, str]],
) -> None:
    """Fill in what one reward says of the requests that want it."""
    try:
        scores = _reward(rewards, name).score(
            [one.picture for one in wanted.values()], [one.prompt for one in wanted.values()]
        )
    except BeholderError as error:
        for row in wanted:
            errors[row][name] = str(error)
        return
    for k, row in enumerate(wanted):
        if k in scores.errors:
            errors[row][name] = scores.errors[k]
        else:
            results[row][name] = _finite_parts(scores, k)


def _reward(rewards: Mapping[str, Reward], name: str) -> Reward:
    if name not in rewards:
        raise DataError(f"no reward named {name!r} here; served: {', '.join(rewards)}")
    return rewards[name]


def _finite_parts(scores: Scores, row: int) -> dict[str, float]:
    """Total first, which UniRL takes unless told otherwise, then the aspects that are known."""
    parts = {"total": scores.total, **scores.aspects}
    values = {name: float(part[row]) for name, part in parts.items()}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _identity(request: object) -> dict[str, Any]:
    given = request if isinstance(request, Mapping) else {}
    return {key: given.get(key) for key in _IDENTITY} | {"scorer_version": None}


def _picture(text: object, key: str) -> bytes:
    if not isinstance(text, str):
        raise DataError(f"{key} must be a picture in base64, got {type(text).__name__}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"{key} is not base64: {error}") from error


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{what} must be a JSON object, got {type(value).__name__}")
    return value


def _list(fields: Mapping[str, Any], key: str) -> list[Any]:
    value = fields.get(key)
    if not isinstance(value, list):
        raise DataError(f"{key} must be a list, got {type(value).__name__}")
    return value
