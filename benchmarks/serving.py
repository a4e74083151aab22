"""The reward server under load, beside a server without batches, LitServe and Ray Serve.

    python -m benchmarks.serving --peers-python PEERS/bin/python --out serving.txt
    python -m benchmarks.serving --part soak --minutes 10 --out serving-soak.txt

Clients run in a process of their own on the same machine; each keeps a connection and asks about
one JPEG file as base64 in JSON with its prompt. Every answer is compared with the local score.
PEERS is an environment with litserve, ray[serve] and everything that this package needs. The parts:

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
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import torch

from beholder.eval.cost import processor
from benchmarks._serving_hard import overload, sigterm, soak
from benchmarks._serving_rates import Effort, batching, latency, peers
from benchmarks._serving_servers import CLIP, GPU
from benchmarks._serving_work import Work, make_work

PARTS = ("batching", "gpu", "latency", "peers", "overload", "sigterm", "soak")
_ASKED_FOR_ONLY = {"soak"}
_ASK_VERSIONS = """
import sys
from importlib.metadata import version
from importlib.util import find_spec
print(", ".join(f"{name} {version(name)}" for name in sys.argv[1:] if find_spec(name)))
"""


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no server is left behind
    given = _arguments()
    torch.set_num_threads(1)
    lines = [_heading(given)]
    with tempfile.TemporaryDirectory() as folder:
        work = make_work(Path(folder), given.pictures, given.side)
        for part in given.part or [p for p in PARTS if p not in _ASKED_FOR_ONLY]:
            measured = ["", part, *_measured(part, work, given)]
            sys.stdout.write("\n".join(measured) + "\n")
            sys.stdout.flush()
            lines += measured
            if given.out:
                given.out.write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="the reward server under load")
    parser.add_argument("--part", action="append", choices=PARTS, help="all but soak if none")
    parser.add_argument("--pictures", type=int, default=64, help="that are asked about")
    parser.add_argument("--side", type=int, default=256, help="of the JPEG files, in pixels")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32, help="pictures of one, at most")
    parser.add_argument("--queue", type=int, default=64, help="of the overload")
    parser.add_argument("--times", type=float, default=4.0, help="of the overload")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the soak")
    parser.add_argument("--peers-python", type=Path, help="interpreter of the peers")
    parser.add_argument("--out", type=Path, help="also write the report to this file")
    return parser.parse_args()


def _heading(given: argparse.Namespace) -> str:
    packages = ("torch", "fastapi", "starlette", "uvicorn", "httptools", "h11")
    return (
        f"{datetime.now(UTC).date()}, {processor()}, one thread of torch a worker, clients on the "
        f"same machine\n{_versions(sys.executable, packages)}\n"
        f"JPEG files of {given.side}² as base64 in JSON, keep-alive, {given.seconds:g} s a "
        f"measurement, medians of {given.rounds} interleaved rounds [lowest, highest]"
    )


def _versions(python: str | Path, packages: Iterable[str]) -> str:
    """Of what that interpreter has of them."""
    command = [str(python), "-c", _ASK_VERSIONS, *packages]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _measured(part: str, work: Work, given: argparse.Namespace) -> list[str]:
    effort = Effort(given.clients, given.seconds, given.rounds, given.batch)
    if part in {"batching", "gpu"}:
        return batching(work, CLIP if part == "batching" else GPU, effort)
    if part == "latency":
        return latency(work, CLIP, effort)
    if part == "peers":
        return _peers(work, given)
    if part == "overload":
        return overload(work, given.seconds, given.times, given.queue)
    if part == "sigterm":
        return sigterm(work, 48, given.seconds, given.rounds)
    return soak(work, 16, given.minutes)


def _peers(work: Work, given: argparse.Namespace) -> list[str]:
    python = given.peers_python
    if python is None or not python.is_file():
        return [
            f"skipped: no interpreter of an environment with litserve and ray[serve] ({python})"
        ]
    clients = [count for count in given.clients if count > 1]
    effort = Effort(clients, given.seconds, max(1, given.rounds - 1), given.batch)
    lines = [_versions(python, ("litserve", "ray", "fastapi", "uvicorn", "uvloop", "httptools"))]
    for reward in (CLIP, GPU):
        lines += [reward.rpartition(":")[2].lower(), *peers(work, python, reward, effort)]
    return lines


if __name__ == "__main__":
    main()
