"""Flow-Factory's remote reward: POST /compute. Its GET /health is that of `unirl`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request

from beholder.serving._wire import flow_factory
from beholder.serving.addresses import EXAMPLE, add, read_as
from beholder.serving.asking import answered
from beholder.serving.context import Context
from beholder.serving.describing import OF_SCORING
from beholder.serving.items import RewardInfo


class Pictures(BaseModel):
    """Pictures as base64 of their files, and a prompt for each."""

    prompt: list[Any] = Field(description="Texts, one a picture.", examples=[["a fox"]])
    image: list[Any] = Field(description="Pictures in base64.", examples=[[EXAMPLE]])


class Rewards(BaseModel):
    """A number a picture; or none and why, if a single one has no score."""

    rewards: list[float]
    error: str = ""


def router(context: Context) -> APIRouter:
    """The routes of Flow-Factory's reward server."""
    made = APIRouter(tags=["Flow-Factory"])
    add(made, context, "/compute", compute, asks=Pictures, gives=Rewards, refuses=OF_SCORING)
    return made


async def compute(context: Context, request: Request, info: RewardInfo) -> Mapping[str, object]:
    """Scores of pictures, as Flow-Factory's remote reward asks for them."""
    read = partial(flow_factory.read, reward=info.name)
    asked = await read_as(request, context, read, "image")
    answers = await answered(request, context, asked.items) if asked.items else []
    return flow_factory.answer(asked, answers)
