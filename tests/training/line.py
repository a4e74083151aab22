"""A tiny problem for `fit`: find a line with noise and dropout. Runs in this or another process."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from beholder.training.fit.learner import FitConfig
from beholder.training.fit.loop import Progress, Task, fit
from beholder.training.fit.processes import Processes

TRUTH = torch.tensor([[1.0, -2.0, 0.5]])


def model(dropout: float = 0.2) -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    built = nn.Sequential(nn.Linear(3, 8), nn.Dropout(dropout), nn.Linear(8, 1))
    with torch.no_grad():
        for weight in built.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / 2)
    return built


def batches(start: int, stride: int) -> Iterator[tuple[Tensor, Tensor]]:
    number = start
    while True:
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(number))
        yield x, x @ TRUTH.T
        number += stride


def task(module: nn.Module, *, seconds: float = 0) -> Task[tuple[Tensor, Tensor]]:
    def step(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        time.sleep(seconds)
        x, y = batch
        loss = functional.mse_loss(module(x), y)
        return loss, {"train/size": float(len(x))}

    def evaluate(rank: int, processes: int) -> Mapping[str, tuple[float, float]]:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(99))[rank::processes]
        errors = (module(x) - x @ TRUTH.T).square()
        return {"eval/closeness": (-float(errors.sum()), float(len(x)))}

    return Task(step, batches, evaluate)


def run(folder: Path, module: nn.Module, **config: float | str) -> Progress:
    settings = {"steps": 20, "learning_rate": 0.01, "warmup_steps": 4, **config}
    return fit(task(module), module, FitConfig(**settings), folder, Processes(cpu=True))  # type: ignore[arg-type]


def run_slowly(folder: Path) -> None:
    """40 steps with dropout, some 25 ms each; leaves `final.pt`."""
    torch.set_num_threads(1)
    module = model()
    config = FitConfig(
        steps=40,
        learning_rate=0.01,
        warmup_steps=4,
        ema_decay=0.9,
        checkpoint_every_steps=3,
        evaluate_every_steps=7,
    )
    fit(task(module, seconds=0.025), module, config, folder, Processes(cpu=True))
    torch.save(module.state_dict(), folder / "final.pt")


def run_together(folder: Path, rank: int, count: int, port: int, config: FitConfig) -> None:
    """One of `count` processes; the first leaves `final.pt`."""
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    os.environ.update({key: str(value) for key, value in {**place, **address}.items()})
    module = model(dropout=0)
    fit(task(module), module, config, folder, processes := Processes(cpu=True))
    if processes.is_main:
        torch.save(module.state_dict(), folder / "final.pt")
    torch.distributed.destroy_process_group()
