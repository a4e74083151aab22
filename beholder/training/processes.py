"""The processes that train together: one, or as many as `accelerate launch` or torchrun started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor


class Processes:
    """This process among all of them; a thin face of accelerate.

    Attributes:
        rank: number of this process, from 0.
        count: of all processes.
        is_main: whether this one writes files and talks.
        device: where this one computes.
    """

    def __init__(self, *, cpu: bool = False) -> None:
        from accelerate import Accelerator  # noqa: PLC0415

        self._accelerator = Accelerator(cpu=cpu)
        self.rank: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.is_main: bool = self._accelerator.is_main_process
        self.device: torch.device = self._accelerator.device

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean of the same tensor over the processes."""
        return self._reduce(tensor, "mean")

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum of the same tensor over the processes."""
        return self._reduce(tensor, "sum")

    def wait(self) -> None:
        """Wait until every process is here."""
        self._accelerator.wait_for_everyone()

    def union(self, own: Mapping[str, str]) -> dict[str, str]:
        """The entries that any process has."""
        from accelerate.utils import gather_object  # noqa: PLC0415

        return dict(cast("list[tuple[str, str]]", gather_object(list(own.items()))))

    def _reduce(self, tensor: Tensor, how: str) -> Tensor:
        if self.count == 1:
            return tensor
        shared = self._accelerator.reduce(tensor.to(self.device), how)
        return cast("Tensor", shared).to(tensor.device)
