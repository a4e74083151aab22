"""A pipeline may be called from inside its own loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def undisturbed(pipe: Any) -> Iterator[None]:
    """Whatever a call of the pipeline changes inside, its loop outside goes on as if it had not.

    A call leaves its guidance, its schedule and its place in it on the pipeline and the scheduler.
    They are set anew and never changed in place, so that shallow copies are enough.
    """
    before = [(owner, dict(vars(owner))) for owner in (pipe, pipe.scheduler)]
    try:
        yield
    finally:
        for owner, state in before:
            vars(owner).clear()
            vars(owner).update(state)
