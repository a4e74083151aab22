"""What tests run in several processes at once, as `torchrun` or `accelerate launch` would."""

import multiprocessing
import os
import shutil
import socket
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import torch

from beholder.training.reward import RewardTraining, train_reward
from beholder.types import Preference

FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


def start(function: object, *args: object) -> ForkServerProcess:
    """Begin a function of a test module in another process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.training.line", "accelerate", "torch.utils.tensorboard", "torch._dynamo"]
    )
    process = context.Process(target=function, args=args)  # type: ignore[arg-type]
    process.start()
    return process


def finish(process: ForkServerProcess) -> None:
    """Wait for it; it must have gone well."""
    process.join(120)
    assert process.exitcode == 0


def together(function: object, count: int, *args: object) -> None:
    """Run function(rank, count, port, *args) in so many processes that know of each other."""
    port = free_port()
    for process in [start(function, rank, count, port, *args) for rank in range(count)]:
        finish(process)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def join(rank: int, count: int, port: int) -> None:
    """Become one of `count` processes."""
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    os.environ.update({key: str(value) for key, value in {**place, **address}.items()})


def train(
    rank: int,
    count: int,
    port: int,
    configs: Sequence[RewardTraining],
    pairs: Sequence[Preference],
    environment: dict[str, str],
) -> None:
    """One process of trainings of rewards, one after another."""
    join(rank, count, port)
    os.environ.update(environment)
    for config in configs:
        train_reward(config, pairs)
    torch.distributed.destroy_process_group()


def rewound(folder: Path, step: int, to: Path) -> Path:
    """A copy of a run as it was after the checkpoint of `step`."""
    shutil.copytree(folder, to)
    for path in (to / "checkpoints").glob("step-*"):
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    for name in ("model.safetensors", "config.json", "summary.json"):
        (to / name).unlink(missing_ok=True)
    return to
