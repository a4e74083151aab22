"""The reward server under load, beside a server without batches, LitServe and Ray Serve.

    python -m benchmarks.serving --out serving.txt                    # after `make peers`
    python -m benchmarks.serving --part soak --minutes 10 --out serving-soak.txt

Clients run in a process of their own on the same machine; each keeps a connection and asks about
one JPEG file as base64 in JSON with its prompt. Every answer is compared with the local score.
The environment of the peers has litserve, ray[serve] and everything that this package needs. Parts:

    batching   a small CLIP: one picture at a time, batches of one, batches of whatever waits
    gpu        the same of a reward that waits 20 ms a call and 0.5 ms a picture, as a GPU would
    latency    one client's times with batches and without
    peers      LitServe and Ray Serve with the same rewards and batch sizes
    overload   four times as many requests as it can answer
    sigterm    told to end under load
    soak       clients for many minutes: memory, errors (only if asked for)
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from benchmarks._options import SERVING_PEERS, heading, parser, peers_python, tell
from benchmarks._record import Missing, Row, record
from benchmarks._serving_hard import overload, sigterm, soak
from benchmarks._serving_rates import Effort, batching, latency, peers
from benchmarks._serving_servers import CLIP, GPU
from benchmarks._serving_work import Work, make_work

PARTS = ("batching", "gpu", "latency", "peers", "overload", "sigterm", "soak")
_ASKED_FOR_ONLY = {"soak"}
_ASK_VERSIONS = """
import json, sys
from importlib.metadata import version
from importlib.util import find_spec
print(json.dumps({name: version(name) for name in sys.argv[1:] if find_spec(name)}))
"""
Found = list[Row | Missing]


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no server is left behind
    given = _arguments()
    torch.set_num_threads(1)
    lines = [*_first(given)]
    with tempfile.TemporaryDirectory() as folder:
        work = make_work(Path(folder), given.pictures, given.side)
        for part in given.part or [p for p in PARTS if p not in _ASKED_FOR_ONLY]:
            found = Found()
            measured = ["", part, *_measured(part, work, given, found)]
            record(found, given.record)  # at once: whatever fails later takes nothing away
            print("\n".join(measured), flush=True)
            lines += measured
    tell(given, "\n".join(lines), [], said=True)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--part", action="append", choices=PARTS, help="all but soak if none")
    made.add_argument("--pictures", type=int, default=64, help="that are asked about")
    made.add_argument("--side", type=int, default=256, help="of the JPEG files, in pixels")
    made.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    made.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--batch", type=int, default=32, help="pictures of one, at most")
    made.add_argument("--queue", type=int, default=64, help="of the overload")
    made.add_argument("--times", type=float, default=4.0, help="of the overload")
    made.add_argument("--minutes", type=float, default=10.0, help="of the soak")
    made.add_argument(
        "--peers-python",
        type=Path,
        default=peers_python(SERVING_PEERS),
        help="interpreter of the peers",
    )
    return made.parse_args()


def _first(given: argparse.Namespace) -> tuple[str, str]:
    packages = ("torch", "fastapi", "starlette", "uvicorn", "httptools", "h11")
    return (
        heading(*packages, note="one thread of torch a worker, clients on the same machine"),
        f"JPEG files of {given.side}² as base64 in JSON, keep-alive, {given.seconds:g} s a "
        f"measurement, medians of {given.rounds} interleaved rounds [lowest, highest]",
    )


def _measured(part: str, work: Work, given: argparse.Namespace, found: Found) -> list[str]:
    """Lines of a part; its ratios are added to those `found`."""
    effort = Effort(given.clients, given.seconds, given.rounds, given.batch)
    if part in {"batching", "gpu"}:
        rates = batching(work, CLIP if part == "batching" else GPU, effort)
        found += rates.rows({})
        return rates.lines()
    if part == "latency":
        return latency(work, CLIP, effort)
    if part == "peers":
        return _peers(work, given, found)
    if part == "overload":
        return overload(work, given.seconds, given.times, given.queue)
    if part == "sigterm":
        return sigterm(work, 48, given.seconds, given.rounds)
    return soak(work, 16, given.minutes)


def _peers(work: Work, given: argparse.Namespace, found: Found) -> list[str]:
    python = given.peers_python
    has = _versions(python) if python and python.is_file() else {}
    if not {"litserve", "ray"} <= set(has):
        why = f"not installed: make peers ({python} has no litserve and ray[serve])"
        found.append(Missing(area="serving", what="LitServe and Ray Serve", reason=why))
        return [why]
    clients = [count for count in given.clients if count > 1]
    effort = Effort(clients, given.seconds, max(1, given.rounds - 1), given.batch)
    names = {"LitServe": f"litserve {has['litserve']}", "Ray Serve": f"ray {has['ray']}"}
    lines = [", ".join(f"{name} {number}" for name, number in has.items())]
    for reward in (CLIP, GPU):
        rates = peers(work, python, reward, effort)
        found += rates.rows(names)
        lines += [reward.rpartition(":")[2].lower(), *rates.lines()]
    return lines


def _versions(python: Path) -> Mapping[str, str]:
    """Of what that interpreter has of the peers and of what they stand on."""
    packages = ("litserve", "ray", "fastapi", "uvicorn", "uvloop", "httptools")
    command = [str(python), "-c", _ASK_VERSIONS, *packages]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    versions: dict[str, str] = json.loads(said)
    return versions


if __name__ == "__main__":
    main()
