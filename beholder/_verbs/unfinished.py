"""What a verb that reads scores says of a run that scores shard by shard and has not ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beholder import _terminal as terminal

if TYPE_CHECKING:
    from beholder.tables import ScoreTable


def tell_unfinished(table: ScoreTable) -> int:
    """The exit code of a verb that has read a table, which is to be its last word.

    It is `SOME_ROWS_FAILED`, with a line on standard error for each run that lacks shards, what to
    do among it, or `OK` with none. What counts is what was there when the table was read: shards
    that appeared since are in no result.
    """
    lacking = [run for run in table.runs() if len(run.shards) < len(run.plan())]
    for run in lacking:
        shards, folder = len(run.plan()), run.folder.place
        terminal.note(
            f"{shards - len(run.shards)} of {shards} shards of {folder} are not in this result; "
            "go on with the run's `beholder score`, then give this command again "
            f"(`beholder score --verify -o {folder}` says which shards, and why)"
        )
    return terminal.SOME_ROWS_FAILED if lacking else terminal.OK
