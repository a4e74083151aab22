"""Data sets that `datasets` saved to a folder, opened as what lies there and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from beholder.errors import DataError

_FAULTS = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What damaged JSON and Arrow files make `datasets` raise; Arrow's errors are among them."""


def open_saved(folder: Path) -> Any:
    """The `datasets.Dataset` of a folder, its rows as they are stored.

    Raises DataError if the folder is damaged, none of a data set, or names files outside of it.
    """
    from datasets import load_from_disk  # noqa: PLC0415

    try:
        _check_inside(folder)
        return load_from_disk(str(folder)).with_format(None)
    except _FAULTS as error:
        raise DataError(f"{folder} is damaged or no saved data set: {error}") from error


def _check_inside(folder: Path) -> None:
    """Raise ValueError if the data set takes rows from files that do not lie in its folder."""
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    named = [each["filename"] for each in state["_data_files"]]
    outside = [name for name in named if Path(name).name != name]
    if outside:
        raise ValueError(f"it names {outside[0]!r}, which does not lie in it")
