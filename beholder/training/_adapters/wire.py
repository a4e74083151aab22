"""Answers of a reward in this process to the clients of UniRL and Flow-Factory: JSON in, JSON out.

Pure functions; who adds HTTP calls them one at a time. Pictures come as base64 of an encoded file
and nothing else: no path is opened, no pickle is read. A DataError means that the whole body is not
of the protocol. `beholder serve` answers the same bodies over HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from beholder.errors import BeholderError
from beholder.rewards import Reward
from beholder.serving._wire import flow_factory, unirl
from beholder.serving.items import Answer, Fault, Item, Picture, Scored
from beholder.training._adapters.scorer import Scorer
from beholder.types import Scores

Score = Callable[[Sequence[bytes], Sequence[str | None]], Scores]


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
    asked = unirl.read(request, tuple(rewards))
    scores = {name: _score_by(reward) for name, reward in rewards.items()}
    return unirl.answer(asked, _answers(scores, asked.items))


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
    scorer, name = Scorer(reward, aspect, "raise"), reward.card.name
    asked = flow_factory.read(request, name)
    answers = _answers({name: scorer.scores}, asked.items)
    return flow_factory.answer(asked, answers, aspect=aspect)


def _score_by(reward: Reward) -> Score:
    return lambda pictures, prompts: reward.score(list(pictures), list(prompts))  # type: ignore[arg-type]


def _answers(scores: Mapping[str, Score], items: Sequence[Item]) -> list[Answer]:
    """What becomes of each item, every reward asked once for all its items."""
    found: list[dict[str, Scored | Fault]] = [{} for _ in items]
    for name in dict.fromkeys(name for item in items for name in item.rewards):
        rows = [row for row, item in enumerate(items) if name in item.rewards]
        told = _told(scores[name], [items[row] for row in rows])
        for row, one in zip(rows, told, strict=True):
            found[row][name] = one
    return [_answer(one) for one in found]


def _answer(found: Mapping[str, Scored | Fault]) -> Answer:
    return Answer(
        {name: one for name, one in found.items() if isinstance(one, Scored)},
        {name: one for name, one in found.items() if isinstance(one, Fault)},
    )


def _told(score: Score, items: Sequence[Item]) -> list[Scored | Fault]:
    pictures = [item.picture.data for item in items if isinstance(item.picture, Picture)]
    try:
        scores = score(pictures, [item.prompt for item in items])
    except BeholderError as error:
        return [Fault("reward-failed", str(error))] * len(items)
    return [_row(scores, row) for row in range(len(items))]


def _row(scores: Scores, row: int) -> Scored | Fault:
    if row in scores.errors:
        code, _, why = scores.errors[row].partition(": ")
        return Fault(code, why)
    aspects = {name: float(part[row]) for name, part in scores.aspects.items()}
    known = {name: value if math.isfinite(value) else None for name, value in aspects.items()}
    return Scored(total=float(scores.total[row]), aspects=known)
