"""Garbage collection in a process that answers for weeks."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def settle() -> None:
    """Let the collector pass over everything that is there now.

    Modules and models are some hundred thousand objects that stay. A full collection walks through
    all of them, holds up every request for a tenth of a second meanwhile, and finds nothing.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def unsettled_afterwards() -> Iterator[None]:
    """Let the collector see everything again once the server has ended."""
    try:
        yield
    finally:
        gc.unfreeze()
