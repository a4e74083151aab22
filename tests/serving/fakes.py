"""A backend without processes: brightness and redness of pictures, and what a test tells it."""

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from typing_extensions import override

from beholder.serving.items import Answer, Backend, Fault, Item, Picture, RewardInfo, Scored
from beholder.serving.refusals import DeadlineError, NotReadyError, QueueFullError


def info(name: str, *, needs_prompt: bool = True) -> RewardInfo:
    return RewardInfo(
        name=name,
        reward="light",
        identity={"reward": "light", "weights": "0" * 64},
        dtype="none",
        aspects=("red",),
        needs_prompt=needs_prompt,
    )


def png(level: int = 100, size: tuple[int, int] = (4, 4)) -> bytes:
    """A grey picture."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class FakeBackend(Backend):
    """Scores at once, or after `seconds`; `asked` is what it was given."""

    names: Sequence[str] = ("light",)
    unready_because: str = ""
    queue: int = 1000
    seconds: float = 0.0
    asked: list[Item] = field(default_factory=list)
    cancelled: int = 0
    reloads: int = 0

    @property
    @override
    def rewards(self) -> Mapping[str, RewardInfo]:
        return {name: info(name) for name in self.names}

    @property
    @override
    def unready(self) -> str:
        return self.unready_because

    @override
    async def score(self, items: Sequence[Item], *, timeout: float) -> list[Answer]:
        if self.unready_because:
            raise NotReadyError(self.unready_because, retry_after=1)
        if len(items) > self.queue:
            raise QueueFullError("full", retry_after=0.5)
        self.asked += items
        try:
            await asyncio.wait_for(asyncio.sleep(self.seconds), timeout)
        except TimeoutError as error:
            raise DeadlineError(f"took longer than {timeout} seconds") from error
        except asyncio.CancelledError:
            self.cancelled += len(items)
            raise
        return [_answer(item) for item in items]

    @override
    async def reload(self) -> None:
        self.reloads += 1


def _answer(item: Item) -> Answer:
    found = _scored(item.picture)
    if isinstance(found, Fault):
        return Answer(faults=dict.fromkeys(item.rewards, found))
    return Answer(scores=dict.fromkeys(item.rewards, found))


def _scored(picture: Picture | Fault) -> Scored | Fault:
    if isinstance(picture, Fault):
        return picture
    if picture.encoding == "file":
        try:
            pixels = np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB")) / 255
        except OSError:
            return Fault("format", "not a picture")
    else:
        kind, scale = ("<u1", 255) if picture.encoding == "uint8" else ("<f4", 1)
        flat = np.frombuffer(picture.data, kind) / scale
        pixels = flat.reshape(picture.height, picture.width, 3)
    size = pixels.shape[0], pixels.shape[1]
    red = float(pixels[..., 0].mean())
    return Scored(total=float(pixels.mean()), aspects={"red": red}, size=size)
