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
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks._options import heading, parser, tell
from benchmarks._record import Row
from benchmarks._scale_hosts import two_hosts
from benchmarks._scale_kills import killed
from benchmarks._scale_pictures import write_tars
from benchmarks._scale_poison import poisoned
from benchmarks._scale_rates import memory, rates, rows, table
from benchmarks._scale_resume import resume

PARTS = ("rates", "memory", "kills", "resume", "ray", "hosts")
ENGINES = ("processes", "ray")


def main() -> None:
    given = _arguments()
    each = max(10, given.pictures // given.archives)
    lines, found = [*_first(given, each)], list[Row]()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        tars = write_tars(Path(folder) / "tars", given.pictures, each, given.side)
        for part in PARTS:
            if part in (given.part or PARTS):
                lines += ["", part, *_measured(part, tars, each, given, found)]
                print("\n".join(lines[-8:]), flush=True)
    tell(given, "\n".join(lines), found, said=True)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--pictures", type=int, default=100_000)
    made.add_argument("--archives", type=int, default=100, help="that they lie in")
    made.add_argument("--side", type=int, default=96, help="of the JPEG files, in pixels")
    made.add_argument("--rounds", type=int, default=3, help="of the rates")
    made.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    made.add_argument("--kills", type=int, default=10)
    made.add_argument("--shards", type=int, default=100_000, help="of the resumption")
    made.add_argument("--part", action="append", choices=PARTS, help="all of them if none")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--folder", type=Path, help="for everything that is written meanwhile")
    return made.parse_args()


def _first(given: argparse.Namespace, each: int) -> tuple[str, str]:
    packages = ("torch", "ray", "pyarrow", "simplejpeg")
    return (
        heading(*packages, note="one thread of torch a worker"),
        f"reward tiny, {given.pictures} JPEG files of {given.side}², archives of {each}, "
        f"seed {given.seed}",
    )


def _measured(
    part: str, tars: Path, each: int, given: argparse.Namespace, found: list[Row]
) -> Iterator[str]:
    """Lines of a part; its ratios are added to those `found`."""
    folder = tars.parent
    if part == "rates":
        measured = rates(tars, folder, each, given.rounds, given.engines)
        found += rows(measured, f"pictures of {given.side}² a second, {given.pictures:,} in tars")
        yield from table(measured)
    elif part == "memory":
        for engine in given.engines:
            yield from memory(tars, folder, each, engine)
    elif part == "kills":
        yield from killed(tars, folder, "processes", given.kills, given.seed)
    elif part == "resume":
        yield from resume(folder, given.shards, given.engines)
    elif part == "ray":
        yield from killed(tars, folder, "ray", 2, given.seed)
        yield from poisoned(folder, ENGINES)
    else:
        yield from two_hosts(tars, folder)


if __name__ == "__main__":
    main()
