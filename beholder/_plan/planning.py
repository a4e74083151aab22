"""A source of any size cut into shards, written down once: `_run/plan.jsonl` of a run's folder.

An archive is one shard, known by its listing alone. Row groups of parquet files are gathered to
about the size that is asked for, from their footers. Files, manifests and saved data sets become
lists of that size. Memory stays flat: names are sorted, and repeated keys found, on the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, fields

from beholder._inputs.sources import classified
from beholder._plan.shards import shards_of
from beholder._run_folder import RUN, RunFolder, Shard
from beholder.errors import ConfigError, DataError
from beholder.storage import Place

WAIT_SECONDS = 60.0
"""How long one waits for the plan of another process that is about to appear."""

_FIELDS = [field.name for field in fields(Shard)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a plan is of: `_run/planned.json`; two plans of the same are the same."""

    source: str
    prompts: str
    shards: int
    shard_size: int

    def is_of(self, other: Planned) -> bool:
        """Whether both are of the same pictures and prompts."""
        return (self.source, self.prompts) == (other.source, other.prompts)


def plan(
    source: str | os.PathLike[str],
    folder: RunFolder,
    *,
    prompts: str | os.PathLike[str] | None = None,
    shard_size: int = 10_000,
) -> int:
    """How many shards there are; the plan is written if there is none yet.

    The plan appears whole or not at all. If several processes plan at once, the first complete plan
    is everybody's. A plan that is there is kept, whatever its source holds by now: what has changed
    is found when it is read. Keys of the rows are those of `read_inputs`.

    Args:
        source: what `read_inputs` takes but for a loaded data set, also of millions of files.
        folder: of the run.
        prompts: for pictures that bring none, as in `read_inputs`; they are held in memory.
        shard_size: rows of a shard, where archives do not decide it.

    Raises:
        ConfigError: if the folder holds the plan of another source, or prompts are given for remote
            archives, which would all be fetched to number their pictures.
        DataError: if there is nothing to score, or a manifest repeats a key.
    """
    if shard_size < 1:
        raise ConfigError(f"a shard needs 1 row or more, got a size of {shard_size}")
    asked = Planned(
        source=_named(source), prompts=_named(prompts or ""), shards=0, shard_size=shard_size
    )
    if (there := _planned(folder)) is not None and folder.plan_file().exists():
        return _same(there, asked, folder)
    lists = folder.lists() / _token(asked)
    shards = list(shards_of(classified(source), lists, prompts, shard_size))
    return _put(folder, shards, asked)


def _put(folder: RunFolder, shards: list[Shard], asked: Planned) -> int:
    """Write the plan, or take over the one that another process wrote meanwhile."""
    mine = Planned(**{**asdict(asked), "shards": len(shards)})
    first = _planned_file(folder).write_new(json.dumps(asdict(mine), indent=2).encode())
    there = mine if first else _planned(folder)
    if there == mine:
        text = "".join(f"{_line(shard)}\n" for shard in shards)
        folder.plan_file().write_new(text.encode())
        return len(shards)
    _wait(folder)
    return _same(there or mine, asked, folder)


def _line(shard: Shard) -> str:
    return json.dumps({name: getattr(shard, name) for name in _FIELDS})


def _wait(folder: RunFolder) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not folder.plan_file().exists():
        if time.monotonic() > end:
            raise ConfigError(
                f"{folder.place} was begun to be planned otherwise; delete "
                f"{_planned_file(folder)} if no process does so any more"
            )
        time.sleep(0.1)


def _same(there: Planned, asked: Planned, folder: RunFolder) -> int:
    if not there.is_of(asked):
        raise ConfigError(
            f"{folder.place} holds the plan of {_said(there)}, not of {_said(asked)}; "
            "use another folder"
        )
    return there.shards


def _said(planned: Planned) -> str:
    return planned.source + (f" with prompts of {planned.prompts}" if planned.prompts else "")


def _planned_file(folder: RunFolder) -> Place:
    return folder.place / RUN / "planned.json"


def _planned(folder: RunFolder) -> Planned | None:
    place = _planned_file(folder)
    if not place.exists():
        return None
    try:
        return Planned(**json.loads(place.read()))
    except (json.JSONDecodeError, TypeError) as error:
        raise DataError(f"{place} is damaged: {error}") from error


def _named(source: str | os.PathLike[str]) -> str:
    return Place(source).absolute if os.fspath(source) else ""


def _token(asked: Planned) -> str:
    """Names the folder of lists: plans of the same write the same lists, others write elsewhere."""
    return hashlib.sha256(json.dumps(asdict(asked)).encode()).hexdigest()[:12]
