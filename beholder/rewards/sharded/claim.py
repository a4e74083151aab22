"""One folder, one run: who comes first says what its scores are of, later ones must agree."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from beholder._run_folder import RUN, Run, RunFolder
from beholder.errors import ConfigError
from beholder.tables import differences


def claim(folder: RunFolder, run: Run) -> Run:
    """Say what a folder's scores are of; gives what its `run.json` says.

    Raises ConfigError if scores of another source, by other rewards or settings are there.
    """
    mine = Run(**json.loads(json.dumps(asdict(run), default=str)))
    if not folder.is_run():
        folder.write_run(mine)
    theirs = folder.run()
    differs = differences(asdict(theirs), asdict(mine))
    if differs:
        raise ConfigError(
            f"{folder.place} holds scores computed otherwise: {'; '.join(differs)}; "
            "write to another folder"
        )
    return theirs


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
