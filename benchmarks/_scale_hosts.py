"""A Ray cluster of two hosts, each a network namespace of this machine, one of which is lost."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import _scale_runs as runs
from benchmarks._scale_kills import compared, reference

BRIDGE = "bh-bridge"
HOSTS = {"bh-1": "10.77.0.1", "bh-2": "10.77.0.2"}
PORT = 6379


TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
"""Nodes and driver of this cluster know each other by it."""


def two_hosts(tars: Path, folder: Path) -> list[str]:
    """A run over two hosts; the second is killed in the middle and joins again."""
    problem = _why_not()
    if problem:
        return [f"two hosts in network namespaces: not permitted on this machine ({problem})"]
    plain, out = reference(tars, folder), folder / "hosts"
    shards = sum(1 for _ in tars.glob("*.tar"))
    head, other = HOSTS
    with _network():
        _ray(head, "start", "--head", f"--port={PORT}", "--include-dashboard=false")
        join = ("start", f"--address={HOSTS[head]}:{PORT}")
        _ray(other, *join)
        address = ("--ray-address", f"{HOSTS[head]}:{PORT}")
        command = runs.score_command(tars, out, "ray", "--workers", "2", *address)
        with runs.started(["ip", "netns", "exec", head, *command], out, TOKEN) as driver:
            moved = driver.wait_until(lambda: runs.done(out) >= shards // 3)
            actors = {host: _actors(host) for host in HOSTS}
            lost = runs.done(out)
            _end(other)
            time.sleep(5)
            _ray(other, *join)
            code = driver.finish()
    difference = compared(plain, out)
    if code or not difference.is_none:
        raise SystemExit(f"two hosts: exit code {code}, {difference}\n{runs.last_words(out)}")
    return [
        f"two hosts in network namespaces, one actor's worth of cores each: actors {actors}",
        f"  {other} killed with all its processes at {lost} of {shards} shards "
        f"({'in the middle' if moved else 'after the end'}), joined again after 5 s",
        f"  exit code {code}; beside an undisturbed run: {difference}",
    ]


def _why_not() -> str:
    tried = subprocess.run(["ip", "netns", "add", "bh-try"], capture_output=True, check=False)
    if tried.returncode:
        return tried.stderr.decode().strip()
    _ip("netns", "del", "bh-try")
    return ""


@contextmanager
def _network() -> Iterator[None]:
    """Namespaces with an address each, joined by a bridge; all is gone afterwards."""
    try:
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("link", "set", BRIDGE, "up")
        for host, address in HOSTS.items():
            _ip("netns", "add", host)
            _ip("link", "add", f"{host}-out", "type", "veth", "peer", "name", f"{host}-in")
            _ip("link", "set", f"{host}-out", "master", BRIDGE, "up")
            _ip("link", "set", f"{host}-in", "netns", host)
            _ip("-n", host, "addr", "add", f"{address}/24", "dev", f"{host}-in")
            _ip("-n", host, "link", "set", f"{host}-in", "up")
            _ip("-n", host, "link", "set", "lo", "up")
        yield
    finally:
        for host in HOSTS:
            _end(host)
            subprocess.run(["ip", "netns", "del", host], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False, capture_output=True)


def _ray(host: str, *arguments: str) -> None:
    ray = Path(sys.executable).with_name("ray")
    settings = ("--num-cpus=3", "--object-store-memory=134217728", "--disable-usage-stats")
    address = f"--node-ip-address={HOSTS[host]}"
    subprocess.run(
        ["ip", "netns", "exec", host, str(ray), *arguments, address, *settings],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | runs.ENVIRONMENT | TOKEN | {"RAY_worker_niceness": "0"},
    )


def _actors(host: str) -> int:
    return sum(runs.command(pid).startswith(runs.RAY_ACTOR) for pid in _processes(host))


def _processes(host: str) -> list[int]:
    listed = subprocess.run(["ip", "netns", "pids", host], capture_output=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


def _end(host: str) -> None:
    for pid in _processes(host):
        if runs.command(pid):
            os.kill(pid, signal.SIGKILL)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
