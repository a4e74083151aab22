"""What the folder of a tuning says of it: its configuration, its numbers, where it stands.

Nothing but the folder is read, so that a run that goes on, one that ended and one from another
machine are told alike. A file that is missing or damaged says nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from beholder._page.curves import Point
from beholder.errors import ConfigError
from beholder.training.fit.journal import read_journal

REWARD, HELD_OUT, GAP = "eval/reward", "eval/held_out", "eval/gap"
DENOISING = "eval/denoising"
JUDGED = "judged.json"
LORA = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True, slots=True)
class Change:
    """A number of the pipeline before it was tuned, and with the weights that are kept.

    Attributes:
        before, after: in the number's own unit; NaN where it is not known.
        gain: of a reward in standard deviations of the pipeline's own pictures.
    """

    before: float
    after: float
    gain: float = math.nan

    @property
    def share(self) -> float:
        """The change as a share of the number before; NaN if that is 0."""
        return (self.after - self.before) / abs(self.before) if self.before else math.nan


@dataclass(frozen=True)
class Record:
    """One tuning.

    Attributes:
        folder: of the run.
        config: its config.yaml.
        start: what the pipeline's own pictures score.
        lines: its metrics.jsonl.
        summary: how it ended; empty before.
        inputs, versions: what it was given, and what computed.
        checks: lines of its self-test.
        judged: what somebody outside the run says of it, if anybody did: "judge", "notice",
            "win_rate" of the tuned pipeline with "low" and "high", and "pictures".
    """

    folder: Path
    config: Mapping[str, Any]
    start: Mapping[str, Any]
    lines: Sequence[Mapping[str, float | None]]
    summary: Mapping[str, Any]
    inputs: Mapping[str, Any]
    versions: Mapping[str, Any]
    checks: tuple[str, ...]
    judged: Mapping[str, Any] = field(default_factory=dict)

    def option(self, name: str, default: Any = None) -> Any:
        """A value of the configuration by its dotted name; the default where it is not told."""
        found: Any = self.config
        for key in name.split("."):
            if not isinstance(found, Mapping) or found.get(key) is None:
                return default
            found = found[key]
        return found

    def points(self, key: str) -> list[Point]:
        """(step, value) of a metric in order; NaN where it was not finite."""
        return [
            (float(line["step"] or 0), _number(line[key])) for line in self.lines if key in line
        ]

    def metrics(self) -> list[str]:
        """Names of the metrics in order of appearance."""
        return [
            key for key in dict.fromkeys(k for line in self.lines for k in line) if key != "step"
        ]

    @cached_property
    def step(self) -> int:
        """Optimizer steps done."""
        told = self.summary.get("steps")
        return int(
            told if told is not None else max((line["step"] or 0 for line in self.lines), default=0)
        )

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended by itself."""
        return bool(self.summary)

    @property
    def is_stopped(self) -> bool:
        """Whether it ended before its last step because nothing got better."""
        return bool(self.summary.get("stopped_early"))

    @property
    def is_watched(self) -> bool:
        """Whether a reward that is not learned from is measured."""
        return bool(self.option("held_out_reward") or self.points(HELD_OUT))

    @cached_property
    def best_step(self) -> int | None:
        """After which the best weights were, by the held-out reward if there is one."""
        told = self.summary.get("best_step")
        if told is not None:
            return int(told)
        points = self.points(HELD_OUT if self.points(HELD_OUT) else REWARD)
        finite = [point for point in points if math.isfinite(point[1])]
        return int(max(finite, key=lambda point: point[1])[0]) if finite else None

    def gains(self, key: str) -> list[Point]:
        """(step, gain) of a reward in standard deviations of the pipeline's own pictures."""
        if told := self.points(f"{key}_gain"):
            return told
        mean, std = self._scale(key)
        return [(x, (y - mean) / std if std > 0 else math.nan) for x, y in self.points(key)]

    def gaps(self) -> list[Point]:
        """(step, gain of the learned reward less that of the held-out one)."""
        if told := self.points(GAP):
            return told
        others = dict(self.gains(HELD_OUT))
        return [(x, gain - others[x]) for x, gain in self.gains(REWARD) if x in others]

    def change(self, key: str) -> Change:
        """A metric at the start and at the best step."""
        points = self.points(key)
        before = self._scale(key)[0] if key in {REWARD, HELD_OUT} else math.nan
        if not math.isfinite(before) and points:
            before = points[0][1]
        return Change(before, self.at_best(points), self.at_best(self.gains(key)))

    def at_best(self, points: Sequence[Point]) -> float:
        """The value at the best step; NaN if there is none."""
        return dict(points).get(-1.0 if self.best_step is None else self.best_step, math.nan)

    def _scale(self, key: str) -> tuple[float, float]:
        """Mean and standard deviation of a reward on the pipeline's own pictures."""
        prefix = {REWARD: "", HELD_OUT: "held_out_"}.get(key)
        if prefix is None:
            return math.nan, math.nan
        return _number(self.start.get(f"{prefix}mean")), _number(self.start.get(f"{prefix}std"))


def read_record(folder: Path) -> Record:
    """The record of a run; ConfigError if the folder is not one of a tuning."""
    config = _mapping(folder / "config.yaml", _yaml)
    if "algorithm" not in config:
        raise ConfigError(
            f"{folder} is not the folder of a tuning: its config.yaml names no algorithm"
        )
    checks = _mapping(folder / "selftest.json", json.loads).get("lines")
    return Record(
        folder=folder,
        config=config,
        start=_mapping(folder / "start.json", json.loads),
        lines=[
            line for line in read_journal(folder / "metrics.jsonl") if line.get("step") is not None
        ],
        summary=_mapping(folder / "summary.json", json.loads),
        inputs=_mapping(folder / "inputs.yaml", _yaml),
        versions=_mapping(folder / "versions.json", json.loads),
        checks=tuple(str(line) for line in checks) if isinstance(checks, list) else (),
        judged=_mapping(folder / JUDGED, json.loads),
    )


def _number(value: object) -> float:
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_real else math.nan  # type: ignore[arg-type]


def _yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _mapping(path: Path, parse: Callable[[str], Any]) -> Mapping[str, Any]:
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, Mapping) else {}
