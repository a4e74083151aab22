"""A program that runs on its own, known by the lock that it holds as long as it lives.

Its process id alone would not do: the system gives the ids of ended processes to others. The lock
is the kernel's: the program inherits it, no copy of the folder has it, and no crash leaves it held.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from beholder.errors import AnnotationError, ConfigError

DETACH = 'umask 077; "$@" </dev/null >"$0" 2>&1 & echo $!'
"""The shell ends at once, so that its child is nobody's; Ctrl-C does not reach it."""
GRACE = ((signal.SIGTERM, 20.0), (signal.SIGKILL, 10.0))
"""How a process is asked to end, and how many seconds it has."""


@contextmanager
def holding(lock: Path) -> Iterator[int | None]:
    """A descriptor that holds the lock file, or None if a process holds it already."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor if _lock(descriptor) else None
    finally:
        os.close(descriptor)


def is_held(lock: Path) -> bool:
    """Whether a living process holds the lock file."""
    if not lock.exists():
        return False
    with holding(lock) as descriptor:
        return descriptor is None


def start(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    lock: int,
) -> int:
    """Process id of a program in a session of its own, which keeps the descriptor `lock` open.

    What it says goes into `log`, which only the user can read.
    """
    shell = subprocess.run(
        ["/bin/sh", "-c", DETACH, log, *command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        start_new_session=True,
        pass_fds=(lock,),
        text=True,
        check=True,
    )
    return int(shell.stdout)


def stop(pid: int, lock: Path) -> None:
    """End the process that holds the lock: politely, then not.

    Raises AnnotationError if it is still there half a minute later.
    """
    for word, seconds in GRACE:
        with suppress(ProcessLookupError):
            os.kill(pid, word)
        if _released(lock, seconds):
            return
    raise AnnotationError(f"process {pid} does not end; end it by hand: kill -9 {pid}")


def check_port(port: int) -> None:
    """Raises AnnotationError if this port of the loopback address is taken or forbidden."""
    if not 1 <= port <= 65535:
        raise ConfigError(f"port {port}; expected 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise AnnotationError(f"port {port}: {reason}; give another with --port") from error


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _released(lock: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_held(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
