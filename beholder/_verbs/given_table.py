"""The score table that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from beholder.errors import DataError
from beholder.storage import Place, is_remote

if TYPE_CHECKING:
    from beholder.tables import ScoreTable


def given_table(scores: str, beside: Sequence[str] = ()) -> ScoreTable:
    """The table in a folder and those beside it; DataError if a folder of this disk is not there.

    What a folder lacks to be a table is said where it is first read.
    """
    from beholder.tables import ScoreTable  # noqa: PLC0415

    for folder in (scores, *beside):
        if not is_remote(folder) and not Path(Place(folder).path).exists():
            raise DataError(
                f"{folder} does not exist; expected a score table, as `beholder score` writes"
            )
    return ScoreTable(scores, also=beside)
