"""What computes each metric of texts while its rows go by."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from typing_extensions import override

from beholder.errors import ConfigError, ImageError, ItemError, VideoError
from beholder.eval import text_alignment
from beholder.eval.diversity import diversity
from beholder.eval.extractors._base import weights_id
from beholder.eval.measures._base import Measurement, Sampling
from beholder.eval.text_alignment import CosineModel, TextAlignment
from beholder.eval.video import clips_of

if TYPE_CHECKING:
    from torch import Tensor

    from beholder._pixels import Alpha
    from beholder.eval._bootstrap import Floats
    from beholder.eval._lpips import Lpips
    from beholder.images import ImageSource
    from beholder.inputs import Row
    from beholder.rewards import Reward
    from beholder.videos import VideoSource

_LONG = 200  # characters of options; longer ones are told by their hash
_REFERENCES = ("references", "reference", "captions")
DRAWS: dict[str, object] = {"draws": 1000, "seed": 0}
"""Settings of the bootstrap, which every metric has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRun:
    """How they are computed.

    Attributes:
        batch_size: pictures in one pass of a model.
        alpha: what shows behind transparent pixels.
        progress: called with the number of rows done since the last call.
    """

    batch_size: int = 32
    alpha: Alpha = "white"
    progress: Callable[[int], object] = field(default=lambda count: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A metric of texts as it was asked for.

    Attributes:
        model: the reward that gives vectors or scores, or the network that LPIPS compares with.
        metric: a name of `METRICS`; "" for the mean of the reward itself.
        settings: of the formula.
    """

    model: Reward | Lpips
    metric: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def reward(self) -> Reward:
        """The model of every metric but diversity."""
        return cast("Reward", self.model)

    @property
    def needs_prompt(self) -> bool:
        """Whether rows without a prompt have no value."""
        return bool(self.metric) or self.reward.card.needs_prompt


def part_of(name: str, asked: Asked, run: TextRun) -> Part:
    """What computes a metric."""
    kinds: dict[str, type[Part]] = {"": _Scored, "itm": _Scored, "clipsim": _Frames}
    kinds["lpips_diversity"] = _Diverse
    return kinds.get(asked.metric, _Compared)(name, asked, run)


class Part(ABC):
    """One metric while its rows go by."""

    kind = "pictures"

    def __init__(self, name: str, asked: Asked, run: TextRun) -> None:
        self.name, self.asked, self.run = name, asked, run
        self.keys: list[str] = []
        self.failed: dict[str, tuple[str, str]] = {}

    @abstractmethod
    def add(self, rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
        """Take rows; gives the code and reason of each that has no value."""

    @abstractmethod
    def result(self) -> list[Measurement]:
        """The numbers, once all rows went by."""

    def measured(self, found: TextAlignment, keys: Sequence[str], name: str = "") -> Measurement:
        """An alignment as a measurement; bootstrap settings are no part of the protocol."""
        protocol = {k: v for k, v in found.settings.items() if k not in {*DRAWS, ""}}
        return Measurement(
            metric=name or self.name,
            value=found.mean.value,
            low=found.mean.low,
            high=found.mean.high,
            interval=f"bootstrap of {self.draws['draws']} draws over {self.kind}",
            fake=found.mean.samples,
            protocol={**_protocol(self.asked.reward, self.run.alpha), **protocol},
            samples={
                key: value
                for key, value in zip(keys, found.samples, strict=True)
                if np.isfinite(value)
            },
            why=found.mean.why,
        )

    @property
    def draws(self) -> dict[str, Any]:
        """Settings of the bootstrap."""
        return {key: self.asked.settings.get(key, value) for key, value in DRAWS.items()}


class _Compared(Part):
    """CLIPScore and RefCLIPScore: cosines of pictures and prompts."""

    def __init__(self, name: str, asked: Asked, run: TextRun) -> None:
        super().__init__(name, asked, run)
        self.model = _cosine_model(name, asked.reward)
        self.cosines: list[float] = []
        self.references: list[Floats] = []

    @override
    def add(self, rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
        prompts = [row.prompt or "" for row in rows]
        found = text_alignment.picture_cosines(
            self.model,
            [_picture(row) for row in rows],
            prompts,
            batch_size=self.run.batch_size,
            alpha=self.run.alpha,
        )
        self.keys += [row.key for row in rows]
        self.cosines += found.values.tolist()
        failed = {rows[at].key: _code(text) for at, text in found.errors.items()}
        if self.asked.metric == "refclipscore":
            texts = [_references(row) for row in rows]
            self.references += text_alignment.reference_cosines(self.model, prompts, texts)
            missing = ("no-reference", f"none of the columns {', '.join(_REFERENCES)} has a text")
            failed |= {
                row.key: missing
                for row, given in zip(rows, texts, strict=True)
                if not given and row.key not in failed
            }
        return failed

    @override
    def result(self) -> list[Measurement]:
        if self.asked.metric == "refclipscore":
            found = text_alignment.ref_clip_score(self.cosines, self.references, **self.draws)
        else:
            protocol = str(self.asked.settings.get("protocol", "hessel"))
            found = text_alignment.clip_score(self.cosines, protocol, **self.draws)
        return [self.measured(found, self.keys)]


class _Scored(Part):
    """The mean of what a reward scores, in total and of each aspect."""

    def __init__(self, name: str, asked: Asked, run: TextRun) -> None:
        super().__init__(name, asked, run)
        self.columns: dict[str, list[float]] = {}

    @override
    def add(self, rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
        prompts = [row.prompt or "" for row in rows]
        needs_prompt = self.asked.needs_prompt
        scores = self.asked.reward.score(
            [_picture(row, needs_prompt=needs_prompt) for row in rows],
            prompts if needs_prompt else None,
            batch_size=self.run.batch_size,
            alpha=self.run.alpha,
        )
        self.keys += [row.key for row in rows]
        for aspect, values in {"": scores.total, **scores.aspects}.items():
            self.columns.setdefault(aspect, []).extend(values.double().tolist())
        return {rows[at].key: _code(text) for at, text in scores.errors.items()}

    @override
    def result(self) -> list[Measurement]:
        return [
            self.measured(self._mean(values), self.keys, f"{self.name}.{aspect}" if aspect else "")
            for aspect, values in self.columns.items()
        ]

    def _mean(self, values: Sequence[float]) -> TextAlignment:
        if self.asked.metric == "itm":
            return text_alignment.itm_score(values, **self.draws)
        return text_alignment.mean_score(values, **self.draws)


class _Frames(Part):
    """CLIPSIM: cosines of frames and the prompt of their video."""

    kind = "videos"

    def __init__(self, name: str, asked: Asked, run: TextRun) -> None:
        super().__init__(name, asked, run)
        self.model = _cosine_model(name, asked.reward)
        self.sampling = Sampling(frames=int(str(asked.settings["frames"])), clips="spread")
        self.cosines: list[float] = []

    @override
    def add(self, rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
        failed = {}
        for row in rows:
            (clips,) = self._clips(row)
            if isinstance(clips, ItemError):
                failed[row.key] = (clips.code, str(clips))
                continue
            frames = list(clips[0])
            found = text_alignment.picture_cosines(
                self.model, frames, [row.prompt or ""] * len(frames), batch_size=self.run.batch_size
            )
            self.keys += [row.key] * len(frames)
            self.cosines += found.values.tolist()
        return failed

    def _clips(self, row: Row) -> Sequence[Sequence[Tensor] | ItemError]:
        if row.image is None:
            return [VideoError("no-video", "the manifest names no video in this row")]
        if row.prompt is None:
            return [VideoError("no-prompt", "the row has no prompt")]
        source = cast("VideoSource", row.image)
        return clips_of(source, [self.sampling], lambda _, clip: clip, alpha=self.run.alpha)

    @override
    def result(self) -> list[Measurement]:
        found = text_alignment.clipsim(
            self.cosines,
            self.keys,
            scale=int(str(self.asked.settings["scale"])),
            sampling=self.sampling.name,
            **self.draws,
        )
        return [self.measured(found, found.keys)]


class _Diverse(Part):
    """LPIPS diversity: the distance of a prompt's pictures from each other."""

    def __init__(self, name: str, asked: Asked, run: TextRun) -> None:
        super().__init__(name, asked, run)
        self.pictures: list[ImageSource] = []
        self.prompts: list[str] = []

    @override
    def add(self, rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
        """Pictures of a prompt may come far apart, so all are read at the end."""
        self.keys += [row.key for row in rows]
        self.pictures += [_picture(row) for row in rows]
        self.prompts += [row.prompt or "" for row in rows]
        return {}

    @override
    def result(self) -> list[Measurement]:
        size, model = int(str(self.asked.settings["size"])), self.asked.model
        device = next(model.buffers()).device
        found = diversity(
            self.pictures,
            self.prompts,
            embed=lambda pixels: model(pixels.to(device)),
            size=size,
            batch_size=self.run.batch_size,
            alpha=self.run.alpha,
            **self.draws,
        )
        self.failed |= {self.keys[at]: _code(text) for at, text in found.errors.items()}
        return [
            Measurement(
                metric=self.name,
                value=found.mean.value,
                low=found.mean.low,
                high=found.mean.high,
                interval=f"bootstrap of {found.draws} draws over prompts",
                fake=found.pictures,
                protocol={
                    "network": "LPIPS 0.1, AlexNet",
                    "weights": weights_id(model.state_dict()),
                    "size": size,
                    "decode": f"alpha={self.run.alpha}",
                },
                samples=found.prompts,
                details={"prompts": len(found.prompts), "prompts_of_one_picture": len(found.alone)},
                why=found.mean.why,
            )
        ]


def _cosine_model(name: str, model: Reward) -> CosineModel:
    if not isinstance(model, CosineModel):
        raise ConfigError(f"{name} compares vectors, which {model.card.name} does not have")
    return model


def _picture(row: Row, *, needs_prompt: bool = True) -> ImageSource:
    if needs_prompt and row.prompt is None:
        return ImageError("no-prompt", "the row has no prompt")
    if row.image is None:
        return ImageError("no-picture", "the manifest names no picture in this row")
    return row.image


def _references(row: Row) -> list[str]:
    """The texts that a picture's prompt is compared with: a list, JSON of one, or one text."""
    given = next((row.extra[c] for c in _REFERENCES if row.extra.get(c)), None)
    if given is None:
        return []
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            given = json.loads(given)
        except json.JSONDecodeError:
            return [str(given)]
    return [given] if isinstance(given, str) else [str(text) for text in cast("Any", given)]


def _code(text: str) -> tuple[str, str]:
    """The code and reason of an error that is told as "code: reason"."""
    code, sign, reason = text.partition(": ")
    return (code, reason) if sign else ("error", text)


def _protocol(model: Reward, alpha: Alpha) -> dict[str, object]:
    from beholder.rewards.scoring import configuration  # noqa: PLC0415

    told = configuration(model, alpha)
    options = json.dumps(told["options"], sort_keys=True, default=str)
    return {
        "reward": told["reward"],
        "options": options if len(options) < _LONG else sha256(options.encode()).hexdigest()[:16],
        "weights": str(told["weights"])[:16],
        "decode": f"alpha={alpha}",
    }
