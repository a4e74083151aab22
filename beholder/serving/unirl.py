"""UniRL's reward service: POST /score, GET /rewards, and the GET /health that others ask too.

At the root a request may want every served reward, under a reward's name that one alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request

from beholder.serving._wire import unirl
from beholder.serving.addresses import EXAMPLE, add, read_as
from beholder.serving.asking import answered
from beholder.serving.context import Context
from beholder.serving.describing import OF_SCORING
from beholder.serving.items import RewardInfo
from beholder.serving.served import check_ready


class Health(BaseModel):
    """Whether scores can be had now."""

    status: Literal["ok"]
    rewards: dict[str, list[str]] = Field(description="States of what answers, by reward.")


class Served(BaseModel):
    """What can be asked for."""

    rewards: list[str]


class Requests(BaseModel):
    """Pictures with their prompts, and the rewards that each wants."""

    protocol_version: Literal["1"] = "1"
    requests: list[Any] = Field(
        description="{history: [{text, image_b64}], required_rewards: […]} each; of a history the "
        "last turn counts. Empty required_rewards mean the reward of the address, at the root "
        "none. One that cannot be read has an error in its place.",
        examples=[
            [{"history": [{"text": "a fox", "image_b64": EXAMPLE}], "required_rewards": ["mps"]}]
        ],
    )


class Results(BaseModel):
    """One entry a request; what has no score has an error and no number."""

    protocol_version: Literal["1"]
    results: list[dict[str, dict[str, float]]]
    errors: list[dict[str, str]]
    identities: list[dict[str, Any]]


def router(context: Context) -> APIRouter:
    """The routes of UniRL's reward service."""
    made = APIRouter(tags=["UniRL"])
    add(made, context, "/score", score, asks=Requests, gives=Results, refuses=OF_SCORING)
    add(made, context, "/rewards", rewards, gives=Served, method="GET")
    add(made, context, "/health", health, gives=Health, method="GET")
    return made


async def score(context: Context, request: Request, info: RewardInfo) -> Mapping[str, object]:
    """Scores of pictures, as UniRL's remote reward asks for them."""
    names = _names(context, request, info)
    meant = names if "reward" in request.path_params else ()
    read = partial(unirl.read, served=names, meant=meant)
    asked: unirl.Asked = await read_as(request, context, read, "requests")
    answers = await answered(request, context, asked.items) if asked.items else []
    return unirl.answer(asked, answers)


async def rewards(context: Context, request: Request, info: RewardInfo) -> Mapping[str, object]:
    """Names of the rewards that can be asked for here."""
    return {"rewards": list(_names(context, request, info))}


async def health(context: Context, request: Request, info: RewardInfo) -> Mapping[str, object]:
    """Whether scores can be had; for UniRL, Flow-Factory and Label Studio alike."""
    check_ready(context.backend)
    return {"status": "ok", "rewards": {n: ["ready"] for n in _names(context, request, info)}}


def _names(context: Context, request: Request, info: RewardInfo) -> tuple[str, ...]:
    return (info.name,) if "reward" in request.path_params else tuple(context.backend.rewards)
