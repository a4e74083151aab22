"""Scoring shard by shard: rate, memory, kills, resumption, Ray, two hosts.

    python -m benchmarks.scale --out benchmarks/results/scale.txt
    python -m benchmarks.scale --pictures 2000 --part rates --part kills

Small JPEG files lie in a hundred tar archives; the reward is tiny, so that what an engine costs
beside a plain loop shows as much as it ever will. The parts:

    rates    engines beside a plain loop over the archives, interleaved rounds
    memory   of the driver and of the largest worker, as a run goes on
    kills    SIGKILL at random points, driver and workers in turn; the table beside an undisturbed
    resume   of very many finished shards: how long until the first that is left starts
    ray      the kills and a shard that kills its worker every time, by Ray and by processes
    hosts    two hosts in network namespaces (needs root), one of which is lost and joins again
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from beholder.eval.cost import processor
from benchmarks._scale_hosts import two_hosts
from benchmarks._scale_kills import killed
from benchmarks._scale_pictures import write_tars
from benchmarks._scale_poison import poisoned
from benchmarks._scale_rates import memory, rates
from benchmarks._scale_resume import resume

PARTS = ("rates", "memory", "kills", "resume", "ray", "hosts")
ENGINES = ("processes", "ray")


def main() -> None:
    given = _arguments()
    each = max(10, given.pictures // given.archives)
    lines = [_heading(given, each)]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        tars = write_tars(Path(folder) / "tars", given.pictures, each, given.side)
        for part in PARTS:
            if part in (given.part or PARTS):
                lines += ["", part, *_measured(part, tars, each, given)]
                sys.stdout.write("\n".join(lines[-8:]) + "\n")
                sys.stdout.flush()
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="scoring shard by shard")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--archives", type=int, default=100, help="that they lie in")
    parser.add_argument("--side", type=int, default=96, help="of the JPEG files, in pixels")
    parser.add_argument("--rounds", type=int, default=3, help="of the rates")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--shards", type=int, default=100_000, help="of the resumption")
    parser.add_argument("--part", action="append", choices=PARTS, help="all of them if none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="for everything that is written meanwhile")
    parser.add_argument("--out", type=Path, help="also write the report to this file")
    return parser.parse_args()


def _heading(given: argparse.Namespace, each: int) -> str:
    packages = ("torch", "ray", "pyarrow", "simplejpeg")
    listed = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{datetime.now(UTC).date()}, {processor()}, one thread of torch a worker, {listed}\n"
        f"reward tiny, {given.pictures} JPEG files of {given.side}², archives of {each}, "
        f"seed {given.seed}"
    )


def _measured(part: str, tars: Path, each: int, given: argparse.Namespace) -> Iterator[str]:
    folder = tars.parent
    if part == "rates":
        yield from rates(tars, folder, each, given.rounds, ENGINES)
    elif part == "memory":
        for engine in ENGINES:
            yield from memory(tars, folder, each, engine)
    elif part == "kills":
        yield from killed(tars, folder, "processes", given.kills, given.seed)
    elif part == "resume":
        yield from resume(folder, given.shards, ENGINES)
    elif part == "ray":
        yield from killed(tars, folder, "ray", 2, given.seed)
        yield from poisoned(folder, ENGINES)
    else:
        yield from two_hosts(tars, folder)


if __name__ == "__main__":
    main()
