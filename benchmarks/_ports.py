"""Ports for servers of benchmarks."""

from __future__ import annotations

import random
import socket

_BELOW_EPHEMERAL = range(20_000, 32_000)
"""A system gives others away by itself: a slow server would find its port taken meanwhile."""


def free_port() -> int:
    """A port of this machine that nobody listens on, and that nobody is given unasked."""
    for port in random.sample(_BELOW_EPHEMERAL, len(_BELOW_EPHEMERAL)):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SystemExit("no port between 20000 and 32000 is free on this machine")
