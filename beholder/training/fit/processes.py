"""The processes that train together: one, or as many as `accelerate launch` or torchrun started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from beholder.errors import ConfigError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


class Processes:
    """This process among all of them; a thin face of accelerate.

    Attributes:
        rank: number of this process, from 0.
        count: of all processes.
        is_main: whether this one writes files and talks.
        device: where this one computes.
        shards: whether `accelerate` was told to shard weights over the processes (FSDP).
        reshards: whether a block is dropped between its forward and its backward pass.

    Raises ConfigError if it was told to shard as only FSDP 1 does, or to offload.
    """

    def __init__(self, *, cpu: bool = False) -> None:
        from accelerate import Accelerator  # noqa: PLC0415

        self._accelerator = Accelerator(cpu=cpu)
        self.rank: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.is_main: bool = self._accelerator.is_main_process
        self.device: torch.device = self._accelerator.device
        told = _sharding()
        self.shards = told is not None and self.count > 1
        self.reshards = bool(told)

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean of the same tensor over the processes."""
        return self._reduce(tensor, "mean")

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum of the same tensor over the processes."""
        return self._reduce(tensor, "sum")

    def all(self, own: bool) -> bool:
        """Whether it holds in every process."""
        return float(self.sum(torch.tensor(float(own)))) == self.count

    def mesh(self) -> DeviceMesh:
        """All processes in a row, for what is held in shards."""
        from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415

        return init_device_mesh(self.device.type, (self.count,))

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


def _sharding() -> bool | None:
    """Whether blocks are dropped between the passes; None without FSDP.

    accelerate keeps what it was told of FSDP for GPUs alone, so its environment is read again.
    """
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() != "true":
        return None
    from accelerate import FullyShardedDataParallelPlugin  # noqa: PLC0415

    plugin = FullyShardedDataParallelPlugin()
    if plugin.fsdp_version != 2:
        raise ConfigError("FSDP 1 is not supported; give accelerate --fsdp_version 2")
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true":
        raise ConfigError("FSDP cannot offload weights here; give --fsdp_offload_params false")
    return bool(plugin.reshard_after_forward)
