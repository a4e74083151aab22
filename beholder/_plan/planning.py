"""A source of any size cut into shards, written down once: `_run/plan.jsonl` of a run's folder.

An archive is one shard, known by its listing alone. Row groups of parquet files are gathered to
about the size that is asked for, from their footers. Files, manifests and saved data sets become
lists of that size. Memory stays flat: names are sorted, and repeated keys found, on the disk.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from dataclasses import asdict, dataclass, replace

from beholder._inputs.sources import classified
from beholder._plan.shards import shards_of
from beholder._plan.snapshot import Snapshot, is_costly, snapshot
from beholder._run_folder import RUN, RunFolder, Shard
from beholder.errors import ConfigError, DataError
from beholder.storage import Place

WAIT_SECONDS = 60.0
"""How long one waits for the plan of another process that is about to appear."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a plan is of: `_run/planned.json`; two plans of the same are the same.

    Attributes:
        source, prompts: their paths or addresses.
        shards: how many the plan has.
        shard_size: what was asked for.
        files, digest: the source's `Snapshot`.
        text: size and mark of the file of prompts, "" if there is none.
        costly: whether a snapshot lists pictures.
    """

    source: str
    prompts: str
    shards: int = 0
    shard_size: int
    files: int = 0
    digest: str = ""
    text: str = ""
    costly: bool = False

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
    is everybody's. A plan that is there is kept, and refused if its source has changed since, as
    far as `changed` tells quickly. Keys of the rows are those of `read_inputs`.

    Args:
        source: what `read_inputs` takes but for a loaded data set, also of millions of files.
        folder: of the run.
        prompts: for pictures that bring none, as in `read_inputs`; they are held in memory.
        shard_size: rows of a shard, where archives do not decide it.

    Raises:
        ConfigError: if the folder holds the plan of another source, or prompts are given for remote
            archives, which would all be fetched to number their pictures.
        DataError: if there is nothing to score, a manifest repeats a key, or the source has changed
            since it was planned.
    """
    if shard_size < 1:
        raise ConfigError(f"a shard needs 1 row or more, got a size of {shard_size}")
    asked = Planned(source=_named(source), prompts=_named(prompts or ""), shard_size=shard_size)
    if (there := _planned(folder)) is not None and folder.plan_file().exists():
        shards = _same(there, asked, folder)
        if why := changed(source, folder):
            raise DataError(why)
        return shards
    found = classified(source)
    seen = snapshot(found, has_own_prompts=prompts is None)  # first, so that no change is missed
    asked = replace(asked, **asdict(seen), text=_stamp_text(asked.prompts), costly=is_costly(found))
    return _put(folder, list(shards_of(found, _lists(folder, asked), prompts, shard_size)), asked)


def changed(source: str | os.PathLike[str], folder: RunFolder, *, pictures: bool = False) -> str:
    """Why a source is no longer what was planned, and what to do; "" if it is, or none is planned.

    Manifests, prompt files, archives and parquet files are known by name, size and time or mark, as
    a listing tells. Pictures that a manifest names are not looked at.

    Args:
        source: what was planned.
        folder: of the run.
        pictures: look at folders of pictures too, which takes a while for millions.
    """
    there = _planned(folder)
    if there is None or not there.digest:
        return ""
    if there.text != _stamp_text(there.prompts):
        return _change(there.prompts, "")
    if there.costly and not pictures:
        return ""
    now = snapshot(classified(source), has_own_prompts=not there.prompts)
    if now == Snapshot(there.files, there.digest):
        return ""
    counts = f"{there.files} files then, {now.files} now"
    others = "as many files, of other names, sizes or times"
    return _change(there.source, counts if there.files != now.files else others)


def _change(what: str, how: str) -> str:
    return (
        f"{what} has changed since it was planned{how and f' ({how})'}; delete plan.jsonl and "
        "planned.json in the run's `_run` to plan anew: shards that stay the same stay done, and "
        "--verify names files of others, to be deleted"
    )


def _stamp_text(prompts: str) -> str:
    if not prompts:
        return ""
    try:
        stamp = Place(prompts).stamp()
    except DataError:  # who reads it tells
        return ""
    return f"{stamp.size} {stamp.mark}"


def _put(folder: RunFolder, shards: list[Shard], asked: Planned) -> int:
    """Write the plan, or take over the one that another process wrote meanwhile."""
    mine = replace(asked, shards=len(shards))
    first = _planned_file(folder).write_new(json.dumps(asdict(mine), indent=2).encode())
    there = mine if first else _planned(folder)
    if there == mine:
        if not folder.write_plan(shards):
            _refuse_other(folder, shards)
        return len(shards)
    _wait(folder)
    return _same(there or mine, asked, folder)


def _refuse_other(folder: RunFolder, shards: list[Shard]) -> None:
    if list(folder.plan()) != shards:
        _planned_file(folder).delete()
        raise DataError(
            f"{folder.plan_file()} is not of what {folder.place} is planned for; delete it to plan "
            "anew"
        )


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
    if there.shard_size != asked.shard_size:
        _LOG.warning(
            "%s was planned with shards of %d rows; the size %d is not read",
            folder.place,
            there.shard_size,
            asked.shard_size,
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


def _lists(folder: RunFolder, asked: Planned) -> Place:
    """The folder of lists; of a source that was planned anew, those that stay the same stay."""
    text = json.dumps([asked.source, asked.prompts, asked.shard_size])
    return folder.lists() / hashlib.sha256(text.encode()).hexdigest()[:12]
