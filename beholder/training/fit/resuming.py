"""Going on with another number of processes: the same batches in each step, or a refusal."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from beholder.errors import ConfigError
from beholder.training.fit.checkpoints import Checkpoint, read_newest_state
from beholder.training.fit.learner import FitConfig

_LOG = logging.getLogger(__name__)
_KEY = "begun"
Config = TypeVar("Config", bound=FitConfig)


@dataclass(frozen=True, slots=True)
class Begun:
    """How a run was begun; a step of it is `processes` times `accumulation` batches for good.

    Attributes:
        processes: how many.
        accumulation: batches of each of them in one step.
    """

    processes: int
    accumulation: int

    @property
    def batches(self) -> int:
        """In one step, of all processes."""
        return self.processes * self.accumulation

    @property
    def fits(self) -> list[int]:
        """Numbers of processes that can share these batches evenly."""
        return [count for count in range(1, self.batches + 1) if self.batches % count == 0]


def begun(checkpoint: Checkpoint | None, config: FitConfig, processes: int) -> Begun:
    """How the run of a checkpoint was begun; without one, it begins now.

    Raises ConfigError if the checkpoint does not say so: what its random numbers were is unknown.
    """
    if checkpoint is None:
        return Begun(processes, config.accumulation)
    told = checkpoint.state.get(_KEY)
    if not isinstance(told, dict):
        raise ConfigError(
            f"the checkpoint of step {checkpoint.step} does not say how many processes made it, as "
            "those of older versions; start in a new folder"
        )
    return Begun(**told)


def shared(config: Config, first: Begun, processes: int) -> Config:
    """The configuration with the accumulation by which so many processes take the same steps.

    Raises ConfigError if the batches of a step cannot be shared evenly, or the accumulation was
    changed to something else.
    """
    if config.accumulation * processes == first.batches:
        return config
    did = f"{first.processes} x {first.accumulation} batches a step (processes x accumulation)"
    if config.accumulation != first.accumulation:
        raise ConfigError(
            f"the run was begun with {did}, now {processes} x {config.accumulation} are asked; "
            f"keep accumulation={first.accumulation}, or start in a new folder"
        )
    if first.batches % processes:
        raise ConfigError(
            f"the run was begun with {did}, which {processes} processes cannot share evenly; go on "
            f"with {', '.join(map(str, first.fits))}, or start in a new folder"
        )
    accumulation = first.batches // processes
    _LOG.info("the run was begun with %s; now %d x %d", did, processes, accumulation)
    return replace(config, accumulation=accumulation)


def going_on(folder: Path, config: Config, processes: int) -> Config:
    """`shared` for the run in a folder, whose `checkpoints` may be empty."""
    checkpoint = read_newest_state(folder / "checkpoints")
    return shared(config, begun(checkpoint, config, processes), processes)
