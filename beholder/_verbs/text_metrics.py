"""Metrics of how well pictures and videos show what their prompts say, made with rewards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import torch

from beholder._verbs.text_parts import DRAWS, Asked, Part, TextRun, part_of
from beholder.errors import ConfigError, DataError
from beholder.eval.extraction import Failure
from beholder.eval.measuring import Comparison, versions
from beholder.eval.sides import SideSummary

if TYPE_CHECKING:
    from beholder.eval._lpips import Lpips
    from beholder.inputs import Inputs

T = TypeVar("T")
_CHUNK = 256  # rows that are read, scored and forgotten together


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMetric:
    """A metric of pictures or videos and their prompts.

    Attributes:
        title, definition: as a metric of features has them.
        reward: what `beholder.load` gives the vectors or scores by; "" for LPIPS.
        takes: "pictures" or "videos".
        settings: of the formula, with their defaults; any other one is an option of the reward.
        loading: options of the reward that the metric is defined with.
    """

    title: str
    definition: str
    reward: str = ""
    takes: Literal["pictures", "videos"] = "pictures"
    settings: Mapping[str, object] = field(default_factory=dict)
    loading: Mapping[str, object] = field(default_factory=dict)


_BARE: dict[str, object] = {"protocol": "torchmetrics"}  # nothing stands before the prompt
METRICS: Mapping[str, TextMetric] = {
    "clipscore": TextMetric(
        title="CLIPScore",
        definition="2.5 max(cos, 0) of picture and prompt, then the mean (Hessel et al., 2021); "
        "protocol=torchmetrics: 100 times the mean cosine, cut off at 0 after the mean",
        reward="clipscore",
        settings={"protocol": "hessel", **DRAWS},
    ),
    "refclipscore": TextMetric(
        title="RefCLIPScore",
        definition="harmonic mean of CLIPScore and the best cosine of the prompt and its "
        "references (Hessel et al., 2021), which the manifest's column references holds",
        reward="clipscore",
        settings=DRAWS,
    ),
    "itm": TextMetric(
        title="BLIP image-text matching",
        definition="mean probability by BLIP that picture and prompt match (Li et al., 2022)",
        reward="blipscore",
        settings=DRAWS,
        loading={"mode": "itm"},
    ),
    "lpips_diversity": TextMetric(
        title="LPIPS diversity",
        definition="mean LPIPS distance (Zhang et al., 2018) of the pictures of each prompt from "
        "each other, then over prompts; it falls when a generator repeats itself",
        settings={"size": 256, **DRAWS},
    ),
    "clipsim": TextMetric(
        title="CLIP similarity of videos",
        definition="mean cosine of frames and prompt over frames, then over videos "
        "(Wu et al., GODIVA, 2021)",
        reward="clipscore",
        takes="videos",
        settings={"scale": 1, "frames": 16, **DRAWS},
        loading=_BARE,
    ),
}
"""The metrics by name."""


def ask(
    metric: str, settings: Mapping[str, object], weights: str | None, device: str | None
) -> Asked:
    """A metric with its reward loaded; settings that are not its own are options of the reward.

    Raises ConfigError if the reward does not know one, WeightsError if weights cannot be had.
    """
    from beholder.rewards import load  # noqa: PLC0415

    found = METRICS[metric]
    own = {k: _checked(metric, k, settings.get(k, d), d) for k, d in found.settings.items()}
    rest = {key: value for key, value in settings.items() if key not in own}
    if own.get("protocol") == "torchmetrics":
        rest = {**_BARE, **rest}
    if not found.reward:
        return Asked(model=_lpips(rest, weights, device), metric=metric, settings=own)
    model = load(found.reward, weights=weights, device=device, **{**found.loading, **rest})  # type: ignore[arg-type]
    return Asked(model=model, metric=metric, settings=own)


def _checked(metric: str, key: str, value: object, default: object) -> object:
    """A setting of the type of its default; numbers are 1 or more, but for a seed."""
    is_number = isinstance(default, int)
    if not isinstance(value, type(default)) or isinstance(value, bool):
        kind = "a whole number" if is_number else "a word"
        raise ConfigError(f"{metric}: {key} must be {kind}, got {value!r}")
    least = 0 if key == "seed" else 1
    if is_number and cast("int", value) < least:
        raise ConfigError(f"{metric}: {key} must be {least} or more, got {value}")
    return value


def _lpips(rest: Mapping[str, object], weights: str | None, device: str | None) -> Lpips:
    from beholder.eval._lpips import load_lpips  # noqa: PLC0415

    if rest:
        raise ConfigError(f"lpips_diversity has no setting {next(iter(rest))!r}; it has size")
    return load_lpips(weights).to(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def check_prompts(inputs: Inputs, asked: Mapping[str, Asked]) -> None:
    """Raise DataError if a metric needs prompts and the rows have none."""
    needing = [name for name, each in asked.items() if each.needs_prompt]
    if needing and not inputs.has_prompts:
        raise DataError(
            f"{', '.join(needing)} needs prompts, but {inputs.source} has none; give --prompts, a "
            "prompt column, or .txt files beside the pictures"
        )


def measure_texts(inputs: Inputs, asked: Mapping[str, Asked], run: TextRun) -> Comparison:
    """Metrics of pictures or videos and their prompts, by the names that `asked` gives them.

    A row that one of them cannot use is a failure with its reason; a metric that no row has a value
    of says so, and the others stand.

    Raises:
        DataError: if prompts are needed and there are none, or no row can be used at all.
    """
    check_prompts(inputs, asked)
    parts = [part_of(name, each, run) for name, each in asked.items()]
    rows = 0
    for chunk in _chunks(inputs, _CHUNK):
        for part in parts:
            part.failed |= part.add(chunk)
        rows += len(chunk)
        run.progress(len(chunk))
    found = [measurement for part in parts for measurement in part.result()]
    failures = _failures(parts)
    if all(each.value is None for each in found):
        why = f"; the first: {failures[0].key}: {failures[0].reason}" if failures else ""
        raise DataError(f"none of the {rows} rows of {inputs.source} could be used{why}")
    summary = SideSummary(
        source=inputs.source,
        kind=parts[0].kind,
        rows=rows,
        used=rows - len(failures),
        failures=failures,
    )
    return Comparison(measurements=found, real=None, fake=summary, versions=versions())


def _failures(parts: Sequence[Part]) -> list[Failure]:
    """The rows that failed anywhere, each with its first reason."""
    found: dict[str, Failure] = {}
    for part in parts:
        for key, (code, reason) in part.failed.items():
            found.setdefault(key, Failure(key=key, code=code, reason=reason))
    return list(found.values())


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    taken = iter(items)
    while chunk := list(islice(taken, size)):
        yield chunk
