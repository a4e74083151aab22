"""An ML backend of Label Studio: POST /setup and /predict, GET /versions, POST /webhook.

Its GET /health is that of `unirl`. Label Studio asks health and setup, with time-outs of 1 and 3
seconds, before everything it does; neither waits for a model. What it sends along, such as its
owner's token and people's answers, is neither read nor kept nor logged.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from beholder.serving._label_studio import tasks
from beholder.serving._label_studio.layout import Layout, is_empty, read_layout
from beholder.serving._label_studio.predictions import model_version, predicted
from beholder.serving._label_studio.tasks import Asked, Question
from beholder.serving._wire.reading import a_text, an_object
from beholder.serving.addresses import add, read_as
from beholder.serving.asking import answered, fetched
from beholder.serving.bodies import aside
from beholder.serving.context import Context, set_items
from beholder.serving.describing import OF_BODIES, OF_SCORING
from beholder.serving.items import Detail, Fault, Item, RewardInfo, Scored
from beholder.serving.refusals import TooLargeError
from beholder.serving.served import served

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16
"""Pictures that are fetched and scored before the next: each may be large."""

Result = dict[str, Any]
_DETAILS: frozenset[Detail] = frozenset(("maps", "words"))
"""What the form of one picture can show beside ratings."""

_FORM = '<View><Image name="image" value="$image"/><Rating name="overall" toName="image"/></View>'


class Setup(BaseModel):
    """A project that is connected."""

    label_schema: str = Field(
        alias="schema", description="Its labelling configuration.", examples=[_FORM]
    )


class Version(BaseModel):
    """The reward with its weights."""

    model_config = ConfigDict(protected_namespaces=())
    model_version: str


class Versions(BaseModel):
    """Every version that can be asked: the one that is served."""

    versions: list[str]


class Task(BaseModel):
    """One task; nothing of it is read but what its form shows."""

    data: dict[str, Any] = Field(examples=[{"image": "/data/upload/1/fox.png"}])


class Tasks(BaseModel):
    """Tasks of a project whose form is one of ours."""

    tasks: list[Task]
    label_config: str = Field(
        description="The project's labelling configuration.", examples=[_FORM]
    )


class Predictions(BaseModel):
    """One prediction a task, in order; an empty one has an `error`."""

    results: list[dict[str, Any]]


class Heard(BaseModel):
    """That something came."""

    status: Literal["ignored"]


def router(context: Context) -> APIRouter:
    """The routes of an ML backend."""
    made = APIRouter(tags=["Label Studio"])
    add(made, context, "/setup", setup, asks=Setup, gives=Version, refuses=OF_BODIES)
    add(made, context, "/predict", predict, asks=Tasks, gives=Predictions, refuses=OF_SCORING)
    add(made, context, "/versions", versions, gives=Versions, method="GET")
    add(made, context, "/webhook", webhook, gives=Heard)
    return made


async def setup(context: Context, request: Request, info: RewardInfo) -> Mapping[str, object]:
    """The version of the reward, if the project's form is one of ours or not written yet."""
    await read_as(request, context, _checked_schema, "tasks")
    return {"model_version": model_version(info)}


async def versions(context: Context, request: Request, info: RewardInfo) -> Mapping[str, object]:
    """The version of the reward."""
    return {"versions": [model_version(info)]}


async def webhook(context: Context, request: Request, info: RewardInfo) -> Mapping[str, object]:
    """Nothing: a reward does not learn while it is served."""
    return {"status": "ignored"}


async def predict(context: Context, request: Request, info: RewardInfo) -> Mapping[str, object]:
    """A prediction for each task, of pictures that are fetched from addresses that are allowed."""
    read = partial(tasks.read, label_studio=context.settings.access.label_studio)
    asked: Asked = await read_as(request, context, read, "tasks")
    each = len(asked.layout.pictures)
    pictures, most = each * len(asked.questions), context.settings.limits.items
    if pictures > most:
        raise TooLargeError(f"{pictures:,} pictures, at most {most:,} are taken at once")
    results: list[Result] = []
    for start in range(0, len(asked.questions), _AT_ONCE // each):
        part = asked.questions[start : start + _AT_ONCE // each]
        results += await _results(context, request, info, Asked(asked.layout, part))
    set_items(request.scope, pictures)
    _log_faults(results)
    return {"results": results}


async def _results(
    context: Context, request: Request, info: RewardInfo, asked: Asked
) -> list[Result]:
    """Predictions for a few tasks; their pictures and maps are gone when they are made."""
    items, name = await _items(context, info, asked), info.name
    info = served(context.backend, name)  # its weights may have been loaded anew meanwhile
    answers = await answered(request, context, items)
    told = [a.scores[name] if name in a.scores else a.faults[name] for a in answers]
    maps = [m for one in told if isinstance(one, Scored) for m in one.maps.values()]
    each = len(asked.layout.pictures)
    parts = [told[k : k + each] for k in range(0, len(told), each)]

    def made() -> list[Result]:
        pairs = zip(asked.questions, parts, strict=True)
        return [_result(info, asked.layout, question, part) for question, part in pairs]

    return await aside(context, sum(len(m.data) for m in maps), made)


async def _items(context: Context, info: RewardInfo, asked: Asked) -> list[Item]:
    """What is to be scored, each address fetched once."""
    shown = [(at, question.prompt) for question in asked.questions for at in question.pictures]
    urls = list(dict.fromkeys(at for at, _ in shown if isinstance(at, str)))
    pictures = dict(zip(urls, await fetched(context, urls), strict=True))
    wanted = info.details if asked.layout.form == "richhf" else ()
    return [
        Item(
            picture=at if isinstance(at, Fault) else pictures[at],
            prompt=prompt,
            rewards=(info.name,),
            detail=frozenset(_DETAILS & set(wanted)),
        )
        for at, prompt in shown
    ]


def _result(
    info: RewardInfo, layout: Layout, question: Question, told: Sequence[Scored | Fault]
) -> Result:
    """One prediction; Label Studio drops those of all tasks if a single one has no `result`."""
    version = model_version(info)
    for one in told:
        if isinstance(one, Fault):
            why = {"code": one.code, "message": one.message}
            return {"result": [], "model_version": version, "error": why}
    scores = [one for one in told if isinstance(one, Scored)]
    made = predicted(layout, info, question.prompt, scores)
    return {"result": list(made.result), "score": made.score, "model_version": version}


def _log_faults(results: Sequence[Result]) -> None:
    """Say it here: Label Studio shows an empty prediction and not why."""
    codes = Counter(one["error"]["code"] for one in results if "error" in one)
    if codes:
        told = ", ".join(f"{code} {count}" for code, count in codes.items())
        _LOG.warning("%d of %d tasks have no prediction: %s", codes.total(), len(results), told)


def _checked_schema(body: object) -> None:
    """Raise DataError if a project's form is not one of ours; an empty one may become one."""
    schema = a_text(an_object(body, "the body").get("schema"), "schema")
    if schema and not is_empty(schema):
        read_layout(schema)
