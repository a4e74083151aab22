"""The noise that a run begins with, in whatever form the family keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from beholder.training._pipeline.taps import replaced


@contextmanager
def begun(pipe: Any, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """The next run begins with `change(drawn)` instead of the latents that the pipeline has drawn.

    The pipeline draws all the same, so everything random that follows is as without a change. The
    latents are scaled and packed already, as its loop wants them. Calls that follow, such as one
    that decodes from inside the run, are left alone.
    """
    own = pipe.prepare_latents
    changes = [change]

    def prepare_latents(*args: Any, **kwargs: Any) -> Any:
        made = own(*args, **kwargs)
        if not changes:
            return made
        first = changes.pop()
        if isinstance(made, tuple):  # with the places of the latents
            return (first(made[0]), *made[1:])
        return first(made)

    with replaced(pipe, "prepare_latents", prepare_latents):
        yield
