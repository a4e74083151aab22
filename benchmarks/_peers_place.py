"""Small packages of pure Python in the environment of the peers, for this process to import."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from benchmarks._options import peers_python


def peer_module(name: str) -> Any:
    """The module, from here or else from the environment of the peers; None if neither has it.

    What both have is taken from here, so that all sides share numpy and torch.
    """
    python = peers_python()
    if python is not None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        place = str(python.parent.parent / "lib" / version / "site-packages")
        if place not in sys.path:
            sys.path.append(place)
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None
