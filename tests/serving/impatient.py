"""The whole server in a process of its own, with limits that a test can wait for.

python -m tests.serving.impatient
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beholder.serving.settings import (
    Access,
    PoolSettings,
    RequestLimits,
    ServeSettings,
    WorkerSettings,
)
from tests.serving.running import READY_SECONDS, Running

LIMITS = RequestLimits(body=2**20, body_seconds=2.0, header_seconds=2.0, connections=64)
LIGHT = "tests.serving.rewards:Light"
SETTINGS = ServeSettings(
    pool=PoolSettings(
        workers=(
            WorkerSettings(
                rewards={"light": (LIGHT, {"seconds": 0.01}), "slow": (LIGHT, {"seconds": 0.3})},
                batch_size=4,
            ),
        )
    ),
    access=Access(port=0),
    limits=LIMITS,
)


@contextmanager
def impatient() -> Iterator[Running]:
    """The server, ready; whatever comes, nothing of it stays."""
    command = [sys.executable, "-m", "tests.serving.impatient"]
    server = Running(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    listener = threading.Thread(target=server.listen, daemon=True)
    listener.start()
    try:
        assert server.heard.wait(READY_SECONDS), "".join(server.said)
        assert server.address, "".join(server.said)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        listener.join()
        assert server.process.stderr is not None
        server.process.stderr.close()


def children(pid: int) -> list[int]:
    """Processes that one has started and that live."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = entry.read_text().rpartition(")")[2].split()
        except OSError:  # it has just gone
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(entry.parent.name))
    return found


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    from beholder import _terminal
    from beholder.serving.server import serve

    _terminal.show_log()
    sys.exit(serve(SETTINGS, lambda address: _terminal.note(f"served at {address};")))


if __name__ == "__main__":
    main()
