"""One folder, one run: who comes first says what its scores are of, later ones must agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from beholder._lock import only_writer
from beholder._run_folder import RUN, Run, RunFolder
from beholder.errors import ConfigError
from beholder.storage import sweep
from beholder.tables import differences


def claim(folder: RunFolder, run: Run) -> Run:
    """Say what a folder's scores are of; gives what its `run.json` says, with the run's settings.

    Of several that claim at once one is first, and all read what it said. Raises ConfigError if
    scores of another source or by other rewards are there.
    """
    mine = Run(**json.loads(json.dumps(asdict(run), default=str)))
    if not folder.is_run():
        folder.write_run(mine)  # unless another was quicker
    theirs = replace(folder.run(), settings=mine.settings)
    if theirs.rewards.keys() != mine.rewards.keys():
        raise ConfigError(
            f"{folder.place} holds scores by {', '.join(theirs.rewards)}, this run asks for "
            f"{', '.join(mine.rewards)}; ask for the same or write to another folder"
        )
    differs = differences(asdict(theirs), asdict(mine))
    if differs:
        raise ConfigError(
            f"{folder.place} holds scores computed otherwise: {'; '.join(differs)}; "
            "write to another folder"
        )
    return theirs


@contextmanager
def only_driver(folder: RunFolder) -> Iterator[None]:
    """Drive a folder that no other process drives; what killed writers left aside is swept.

    Only on a disk can others be known and refused, by DataError.
    """
    if folder.place.is_remote:
        yield
        return
    lock = Path(folder.place.path) / RUN / ".lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(lock):
        sweep(folder.place)
        yield


def refuse_foreign(folder: RunFolder) -> None:
    """Raise ConfigError if the folder holds something that is no sharded run."""
    if not folder.place.is_remote and Path(folder.place.path).is_file():
        raise ConfigError(f"{folder.place} is a file; a run needs a folder")
    if folder.is_run():
        return
    found = sorted(name for name in folder.place.names() if not name.startswith("."))
    if found == ["inputs", "rewards"]:
        raise ConfigError(
            f"{folder.place} holds a score table that was written without --engine; "
            "leave --engine out, or write to another folder"
        )
    if found and found != [RUN]:
        raise ConfigError(
            f"{folder.place} already holds {found[0]!r} and is no sharded run; "
            "give an empty or new folder"
        )
