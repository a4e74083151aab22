"""How long a run of very many finished shards takes to go on."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from beholder._plan.planning import plan
from beholder._run_folder import RunFolder, Shard, footer
from beholder.rewards.sharded.job import WorkerSpec
from beholder.rewards.sharded.ledger import Ledger
from beholder.rewards.sharded.shard_file import parquet_bytes, shard_table
from beholder.rewards.sharded.worker import Worker
from beholder.storage import Place
from benchmarks import _scale_runs as runs
from benchmarks._scale_pictures import write_tars

MOST_LINKS = 50_000


def resume(folder: Path, shards: int, engines: Sequence[str]) -> list[str]:
    """Seconds until the one shard that is left starts, with the notes of a run and without."""
    tars, out = _links(folder, shards), folder / "resumed"
    left = _finished_but_one(tars, out)
    lines = [f"seconds from the command to the start of the one of {shards:,} shards that is left"]
    fresh = _start(folder / "one", folder / "fresh", engines[0], _only(folder / "one"))
    lines.append(f"  {engines[0]}, a new run of one shard: {fresh}")
    ledger, aside = out / "_run" / "ledger", out / "_run" / "ledger-aside"
    lines += [f"  {e}, with its notes: {_start(tars, out, e, left)}" for e in engines]
    ledger.rename(aside)
    lines.append(f"  {engines[0]}, notes lost: {_start(tars, out, engines[0], left)}")
    shutil.rmtree(ledger)
    aside.rename(ledger)
    return lines


def _only(tars: Path) -> Shard:
    (tar,) = tars.glob("*.tar")
    return Shard(name=tar.stem, kind="archive", source=str(tar))


def _links(folder: Path, shards: int) -> Path:
    """A folder of archives that are all one file under many names."""
    first = write_tars(folder / "one", 8, 8, 64) / "00000.tar"
    tars = folder / "links"
    tars.mkdir()
    for number in range(shards):
        if number % MOST_LINKS == 0:  # file systems know an end of links to one file
            first = Path(shutil.copy(first, tars.parent / f"linked-{number}.tar"))
        os.link(first, tars / f"{number:06d}.tar")
    return tars


def _finished_but_one(tars: Path, out: Path) -> Shard:
    """Write what a run that stopped before its last shard leaves; gives that shard."""
    spec = WorkerSpec(folder=str(out), source=str(tars), rewards={"tiny": ("tiny", {})})
    run = Worker(spec).run
    folder = RunFolder(Place(out))
    plan(str(tars), folder)
    *finished, left = folder.plan()
    ledger = Ledger(folder)
    for shard in finished:
        said = footer(shard, run, 0, {"tiny": {}})
        (out / f"{shard.name}.parquet").write_bytes(parquet_bytes(shard_table([], {}, said)))
        ledger.add(json.loads(said))
    ledger.close()
    return left


def _start(tars: Path, out: Path, engine: str, left: Shard) -> str:
    """Until a worker stands, and until the shard has begun, in words; the shard is left again."""
    folder = RunFolder(Place(out))
    attempt = Path(folder.attempts().path) / f"{left.name}.json"
    scores = Path(folder.scores(left.name).path)
    with runs.started(runs.score_command(tars, out, engine, "--workers", "1"), out) as driver:
        if not driver.wait_until(lambda: attempt.exists() or scores.exists(), every=0.02):
            raise SystemExit(runs.last_words(out))
        seconds = time.monotonic() - driver.started
        driver.finish()
    scores.unlink()
    return f"{seconds:.1f}"
