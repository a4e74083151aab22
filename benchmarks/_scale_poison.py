"""A shard that kills its worker every time, by each engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks import _scale_runs as runs
from benchmarks._scale_kills import compared
from benchmarks._scale_pictures import write_tars

SHARDS, EACH = 10, 20


def poisoned(folder: Path, engines: Sequence[str]) -> list[str]:
    """What each engine gives up, and whether their tables are the same."""
    tars = write_tars(folder / "poisoned", SHARDS * EACH, EACH, 64)
    lines = [f"{SHARDS} shards, one of which kills its worker every time"]
    outs = [folder / f"poisoned-{engine}" for engine in engines]
    for engine, out in zip(engines, outs, strict=True):
        reward = ("-r", "benchmarks._scale_reward:Poisoned", "--workers", "2")
        code, seconds = runs.run(runs.score_command(tars, out, engine, *reward), out)
        failed = json.loads((out / "_run" / "failed.json").read_text())
        lines.append(
            f"  {engine}: exit code {code} after {seconds:.0f} s, "
            f"{runs.done(out)} shards done, given up: {failed}"
        )
    for out in outs[1:]:
        difference = compared(outs[0], out)
        if not difference.is_none:
            raise SystemExit(f"{engines[0]} beside {out.name}: {difference}")
        lines.append(f"  {engines[0]} beside {out.name}: {difference}")
    return lines
