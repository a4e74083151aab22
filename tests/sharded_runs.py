"""Folders of runs that score shard by shard, written for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from beholder._run_folder import Run, RunFolder, Shard, footer
from beholder._tables.sharded_table import note_columns
from beholder.storage import Place
from beholder.tables import ScoreTable

CONFIG: Mapping[str, object] = {"weights": "ab", "options": {"seed": 1}}


def shard_of(name: str, rows: int | None = None) -> Shard:
    return Shard(name=name, kind="archive", source=f"/data/{name}.tar", rows=rows)


def write_run(
    folder: Path,
    shards: Mapping[str, pa.Table | None],
    rewards: Sequence[str] = ("mps",),
    *,
    noted: bool = True,
    counted: bool = False,
) -> ScoreTable:
    """A run with a shard for each name; None for one that is not scored yet."""
    run_folder, run = (
        RunFolder(Place(folder)),
        Run(source="/data", rewards=dict.fromkeys(rewards, CONFIG)),
    )
    run_folder.write_run(run)
    plan = [
        shard_of(name, len(part) if counted and part is not None else None)
        for name, part in shards.items()
    ]
    run_folder.write_plan(plan)
    for shard, part in zip(plan, shards.values(), strict=True):
        if part is not None:
            if noted:
                note_columns(run_folder, part)
            said = footer(shard, run, len(part), {})
            marked = part.replace_schema_metadata({b"beholder": said})
            pq.write_table(marked, folder / f"{shard.name}.parquet")
    return ScoreTable(folder)


def rows(keys: str, reward: str = "mps", **columns: Sequence[object]) -> pa.Table:
    """A shard with a row for each letter, whose score is its number in the alphabet."""
    return pa.table(
        {
            "key": list(keys),
            "image": [f"/p/{key}.png" for key in keys],
            "prompt": [f"a {key}" for key in keys],
            **columns,
            f"{reward}.total": pa.array([float(ord(key) - 96) for key in keys], pa.float32()),
            f"{reward}.error": pa.nulls(len(keys), pa.string()),
        }
    )
