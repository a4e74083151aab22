"""What the server's front and its worker processes tell each other, and how it travels.

The front says `Begin`, then `Ask` and `Cancel`, then `Stop`; the worker says `Ready` or `Fatal`,
then `Batch` and `Answered`. A frame is a mark, two lengths, JSON, and the bytes of pictures or maps
in the order in which the JSON tells of them. Nothing is a pickle and nothing a literal NaN.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from beholder.errors import (
    BeholderError,
    ConfigError,
    DataError,
    MissingDependencyError,
    ServerError,
    WeightsError,
)
from beholder.images import Limits
from beholder.serving.items import Answer, Fault, Item, Map, Picture, RewardInfo, Scored, Word
from beholder.serving.settings import WorkerSettings

MAX_JSON = 64 * 2**20
"""Bytes of a frame's JSON."""

MAX_BYTES = 2**30
"""Bytes of pictures or maps in a frame."""

_ERRORS = ConfigError, WeightsError, MissingDependencyError, ServerError, DataError
_PLAIN = {kind.__name__: kind for kind in _ERRORS}
"""Errors that are made of a text alone."""

_HEAD = struct.Struct("!4sIQ")
_MARK = b"bhl1"


@dataclass(frozen=True, slots=True)
class Begin:
    """The first message: what the worker loads."""

    settings: WorkerSettings


@dataclass(frozen=True, slots=True)
class Ask:
    """Score an item; its answer bears the same number."""

    id: int
    item: Item


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for that item; it is answered all the same, mostly with nothing."""

    id: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more is asked: answer what was, then end."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The rewards are loaded and warm."""

    rewards: tuple[RewardInfo, ...]


@dataclass(frozen=True, slots=True)
class Fatal:
    """Nothing can be scored, such as for want of weights; the worker ends.

    Attributes:
        kind: name of a class in `beholder.errors` that takes `text` alone.
        text: for people.
    """

    kind: str
    text: str

    @property
    def error(self) -> BeholderError:
        """What the front raises in the worker's place."""
        return _PLAIN.get(self.kind, DataError)(self.text)

    @staticmethod
    def of(error: BaseException) -> Fatal:
        """The same error, so that another process can raise it."""
        text = " ".join(str(error).split())
        for name, kind in _PLAIN.items():
            if isinstance(error, kind):
                return Fatal(name, text)
        return Fatal(DataError.__name__, f"{type(error).__name__}: {text}")


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of the item with that number."""

    id: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Batch:
    """One pass of a model.

    Attributes:
        reward: under the name that it is served by.
        size: items in it.
        seconds: that it took.
        waited: seconds from the oldest item's coming to the worker to the start of the pass.
    """

    reward: str
    size: int
    seconds: float
    waited: float


Message = Begin | Ask | Cancel | Stop | Ready | Fatal | Answered | Batch


def encode(message: Message) -> bytes:
    """A frame.

    Raises DataError if the message holds a number that is not finite, or what JSON has no form for,
    or is over `MAX_JSON` or `MAX_BYTES`.
    """
    said, parts = _said(message)
    try:
        text = json.dumps(said, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise DataError(f"a {type(message).__name__} cannot be sent: {error}") from error
    size = sum(map(len, parts))
    if len(text) > MAX_JSON or size > MAX_BYTES:
        raise DataError(
            f"a {type(message).__name__} of {len(text)} + {size} bytes is over the limit of "
            f"{MAX_JSON} + {MAX_BYTES}"
        )
    return b"".join((_HEAD.pack(_MARK, len(text), size), text, *parts))


def read(stream: BinaryIO) -> Message | None:
    """The next message of a buffered stream; None once it ends or holds what is no frame."""
    try:
        lengths = _lengths(stream.read(_HEAD.size))
        text, data = (stream.read(length) for length in lengths)
    except (OSError, ValueError):  # ValueError: no frame, or closed on our side
        return None
    return _decoded(text, data) if (len(text), len(data)) == lengths else None


async def read_async(reader: asyncio.StreamReader) -> Message | None:
    """The next message, as `read`."""
    try:
        text_length, data_length = _lengths(await reader.readexactly(_HEAD.size))
        text = await reader.readexactly(text_length)
        data = await reader.readexactly(data_length)
    except (asyncio.IncompleteReadError, OSError, ValueError):
        return None
    return _decoded(text, data)


def of_worker() -> tuple[BinaryIO, BinaryIO]:
    """Where this worker process reads and writes; what it prints from now on goes to stderr."""
    sys.stdout.flush()
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return reader, writer


def _lengths(head: bytes) -> tuple[int, int]:
    """Of the JSON and the bytes that follow; ValueError for what does not begin a frame."""
    if len(head) != _HEAD.size:
        raise ValueError("the stream ended")
    mark, text, data = _HEAD.unpack(head)
    if mark != _MARK or text > MAX_JSON or data > MAX_BYTES:
        raise ValueError("not a frame")
    return text, data


def _decoded(text: bytes, data: bytes) -> Message | None:
    try:
        said = json.loads(text)
        return _KINDS[said["say"]](said, _Rest(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


class _Rest:
    """The bytes of a frame, taken piece by piece."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if size < 0 or len(piece) != size:
            raise ValueError("the frame holds fewer bytes than it says")
        self._at += size
        return piece


Said = dict[str, Any]


def _said(message: Message) -> tuple[Said, list[bytes]]:
    """JSON-ready, and the bytes that go with it."""
    say = {"say": type(message).__name__}
    if isinstance(message, Ask):
        said, parts = _of_item(message.item)
        return {**say, "id": message.id, "item": said}, parts
    if isinstance(message, Answered):
        said, parts = _of_answer(message.answer)
        return {**say, "id": message.id, **said}, parts
    return {**say, **asdict(message)}, []


def _of_item(item: Item) -> tuple[Said, list[bytes]]:
    said: Said = {"prompt": item.prompt, "rewards": item.rewards, "detail": sorted(item.detail)}
    picture = item.picture
    if isinstance(picture, Fault):
        return {**said, "fault": asdict(picture)}, []
    form = [picture.encoding, picture.height, picture.width, len(picture.data)]
    return {**said, "picture": form}, [picture.data]


def _item(said: Said, rest: _Rest) -> Item:
    picture: Picture | Fault
    if "fault" in said:
        picture = Fault(**said["fault"])
    else:
        encoding, height, width, size = said["picture"]
        picture = Picture(data=rest.take(size), encoding=encoding, height=height, width=width)
    return Item(
        picture=picture,
        prompt=said["prompt"],
        rewards=tuple(said["rewards"]),
        detail=frozenset(said["detail"]),
    )


def _of_answer(answer: Answer) -> tuple[Said, list[bytes]]:
    scores = {name: _of_scored(scored) for name, scored in answer.scores.items()}
    faults = {name: asdict(fault) for name, fault in answer.faults.items()}
    maps = [drawn.data for scored in answer.scores.values() for drawn in scored.maps.values()]
    return {"scores": scores, "faults": faults}, maps


def _of_scored(scored: Scored) -> Said:
    return {
        "total": scored.total,
        "aspects": dict(scored.aspects),
        "deviations": dict(scored.deviations),
        "size": scored.size,
        "maps": {k: (m.height, m.width, len(m.data)) for k, m in scored.maps.items()},
        "words": [(w.word, w.start, w.end, w.p_misaligned) for w in scored.words],
    }


def _answer(said: Said, rest: _Rest) -> Answer:
    return Answer(
        {name: _scored(one, rest) for name, one in said["scores"].items()},
        {name: Fault(**one) for name, one in said["faults"].items()},
    )


def _scored(said: Said, rest: _Rest) -> Scored:
    height, width = said["size"]
    return Scored(
        total=said["total"],
        aspects=said["aspects"],
        deviations=said["deviations"],
        size=(height, width),
        maps={kind: Map(h, w, rest.take(size)) for kind, (h, w, size) in said["maps"].items()},
        words=tuple(Word(*word) for word in said["words"]),
    )


def _settings(said: Said) -> WorkerSettings:
    rewards = {name: (spec, options) for name, (spec, options) in said["rewards"].items()}
    return WorkerSettings(**{**said, "rewards": rewards, "pictures": Limits(**said["pictures"])})


def _info(said: Said) -> RewardInfo:
    lists = {key: tuple(said[key]) for key in ("score_range", "aspects", "details")}
    return RewardInfo(**{**said, **lists})


_KINDS: Mapping[str, Callable[[Said, _Rest], Message]] = {
    "Begin": lambda said, rest: Begin(_settings(said["settings"])),
    "Ask": lambda said, rest: Ask(said["id"], _item(said["item"], rest)),
    "Cancel": lambda said, rest: Cancel(said["id"]),
    "Stop": lambda said, rest: Stop(),
    "Ready": lambda said, rest: Ready(tuple(map(_info, said["rewards"]))),
    "Fatal": lambda said, rest: Fatal(said["kind"], said["text"]),
    "Answered": lambda said, rest: Answered(said["id"], _answer(said, rest)),
    "Batch": lambda said, rest: Batch(
        said["reward"], said["size"], said["seconds"], said["waited"]
    ),
}
