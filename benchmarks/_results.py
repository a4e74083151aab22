"""What a run of all benchmarks found: a file of JSON, and what has changed since the last one."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks._record import Missing, Row, as_dict, from_dict

Verdict = Literal["", "new", "better", "worse", "lost"]
NOISE, NOISE_OF_ONE_ROUND = 0.15, 0.30
"""Shares by which a median may move and still be called the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One benchmark of a run.

    Attributes:
        date: when, as parts of a run may be older than the rest.
        failure: why it ended before its end; "" if it did not.
    """

    name: str
    arguments: Sequence[str]
    date: str
    minutes: float
    failure: str
    rows: Sequence[Row | Missing]

    @property
    def ratios(self) -> list[Row]:
        """What was measured."""
        return [row for row in self.rows if isinstance(row, Row)]

    @property
    def missing(self) -> list[Missing]:
        """What was not."""
        return [row for row in self.rows if isinstance(row, Missing)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All benchmarks of a run, and what they ran on."""

    date: str
    profile: str
    machine: str
    versions: dict[str, str]
    benchmarks: Sequence[Ran]

    @property
    def ratios(self) -> list[Row]:
        """All of them, in the order of the benchmarks."""
        return [row for ran in self.benchmarks for row in ran.ratios]

    def after(self, earlier: Results | None) -> Results:
        """With the benchmarks of an earlier run that this one left out, in its order."""
        if earlier is None:
            return self
        own = {ran.name: ran for ran in self.benchmarks}
        kept = [own.pop(ran.name, ran) for ran in earlier.benchmarks]
        return replace(self, benchmarks=[*kept, *own.values()])

    def write(self, file: Path) -> None:
        """As JSON."""
        told = asdict(replace(self, benchmarks=[]))
        told["benchmarks"] = [
            {**asdict(replace(ran, rows=[])), "rows": [as_dict(row) for row in ran.rows]}
            for ran in self.benchmarks
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def parse(cls, text: str) -> Results:
        """What `write` wrote."""
        told: dict[str, Any] = json.loads(text)
        ran = [
            Ran(**{**each, "rows": [from_dict(row) for row in each["rows"]]})
            for each in told["benchmarks"]
        ]
        return cls(**{**told, "benchmarks": ran})


@dataclass(frozen=True, slots=True)
class Change:
    """A comparison now and in the last committed results.

    Attributes:
        now: None if it was not made, though its benchmark ran.
        before: None if it is new.
    """

    now: Row | None
    before: Row | None
    verdict: Verdict


def changes(now: Results, before: Results | None) -> Iterator[Change]:
    """Of every comparison now, in its order; then of those that got lost."""
    old = {row.key: row for row in before.ratios} if before else {}
    for row in now.ratios:
        yield Change(row, old.get(row.key), verdict(row, old.get(row.key)))
    yield from (Change(None, row, "lost") for row in _lost(now, before))


def verdict(now: Row, before: Row | None) -> Verdict:
    """Whether it moved by more than noise: ranges that do not meet, and medians well apart."""
    if before is None:
        return "new"
    one_round = any(row.ratio.low == row.ratio.high for row in (now, before))
    allowed = NOISE_OF_ONE_ROUND if one_round else NOISE
    moved = now.ratio.median / before.ratio.median - 1 if before.ratio.median else math.inf
    apart = now.ratio.high < before.ratio.low or now.ratio.low > before.ratio.high
    if not apart or abs(moved) <= allowed:
        return ""
    return "better" if (moved > 0) == (now.better == "higher") else "worse"


def _lost(now: Results, before: Results | None) -> list[Row]:
    """Comparisons of benchmarks that failed now; where a peer is not there, nothing is lost."""
    failed = {ran.name for ran in now.benchmarks if ran.failure}
    kept = {row.key for row in now.ratios}
    old = [ran for ran in before.benchmarks if ran.name in failed] if before else []
    return [row for ran in old for row in ran.ratios if row.key not in kept]


def newest(folder: Path) -> Path | None:
    """The file of the last date."""
    return max(folder.glob("????-??-??.json"), default=None)


def committed(folder: Path, profile: str) -> Results | None:
    """The last results of a profile that git has; of the files where there is no git."""
    listed = _git(folder, "ls-files", "????-??-??.json")
    if listed is None:
        texts = [file.read_text(encoding="utf-8") for file in folder.glob("????-??-??.json")]
    else:
        texts = [_git(folder, "show", f"HEAD:./{name}") or "" for name in listed.split()]
    found = [Results.parse(text) for text in texts if text]
    of_profile = [one for one in found if one.profile == profile]
    return max(of_profile, key=lambda one: one.date, default=None)


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None if it does not answer."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout
