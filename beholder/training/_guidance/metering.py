"""What a run costs: steps of the denoiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from beholder.training._pipeline.taps import steps_watched

Progress = Callable[[int], object]
"""Called with the number of steps that were done since the last call, counted for each picture."""


class Meter:
    """Counts the steps that schedulers took, each as often as there are pictures in it.

    A step with classifier-free guidance counts once, although the denoiser sees the picture twice.

    Args:
        progress: told of each step how many pictures were in it.

    Attributes:
        steps: so far.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.steps = 0
        self._progress = progress

    def stepped(self, _output: Tensor, _t: Tensor, sample: Tensor, _result: Any) -> None:
        """After a step of the scheduler."""
        self.steps += len(sample)
        if self._progress is not None:
            self._progress(len(sample))


@contextmanager
def metered(scheduler: Any, progress: Progress | None = None) -> Iterator[Meter]:
    """A meter of everything that this scheduler does inside."""
    meter = Meter(progress)
    with steps_watched(scheduler, meter.stepped):
        yield meter
