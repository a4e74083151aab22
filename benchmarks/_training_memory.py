"""Steps of one training in a process of its own: median of their CPU time, peak of memory.

python -m benchmarks._training_memory --size b32 --pairs 16 --checkpointing
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from beholder.training.run import RunConfig, trainee
from beholder.training.towers.scorers import PixelScorer
from benchmarks._memory import peak
from benchmarks._training_loops import Way, nodes
from benchmarks._training_models import SIZES, apart, mps_options


def main() -> None:
    given = _arguments()
    torch.set_num_threads(1)
    config = RunConfig(
        reward="mps",
        options=mps_options(given.size),
        train="all",
        checkpoint_activations=given.checkpointing,
    )
    reward, *_ = trainee(config)
    names = {name for name, weight in reward.named_parameters() if weight.requires_grad}
    with tempfile.TemporaryDirectory() as folder:
        pairs = apart(Path(folder), SIZES[given.size]["pixels"], given.pairs)
        way = Way("", reward, pairs, nodes(PixelScorer(reward), pairs), names)
        for _ in range(given.steps):
            way.step()
    seconds = way.median * len(pairs)
    print(json.dumps({"seconds": seconds, "mib": peak(), "losses": way.losses}))


def measured(size: str, pairs: int, rounds: int) -> dict[str, object]:
    """Time and memory with and without checkpointing, turn by turn, each in a fresh process.

    The losses of all steps are asserted to be equal to the bit.
    """
    found: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for _ in range(rounds):
        for checkpointing, told in found.items():
            told.append(_fresh(size, pairs, checkpointing))
    plain, spared = found[False], found[True]
    assert all(a["losses"] == b["losses"] for a, b in zip(plain, spared, strict=True))
    medians = {
        name: {
            key: round(statistics.median(one[key] for one in told), 2) for key in ("seconds", "mib")
        }
        for name, told in (("plain", plain), ("checkpointing", spared))
    }
    changes = {
        key: round(
            100
            * statistics.median(b[key] / a[key] - 1 for a, b in zip(plain, spared, strict=True)),
            1,
        )
        for key in ("seconds", "mib")
    }
    return {"pairs_in_a_step": pairs, **medians, "change_in_percent": changes}


def _fresh(size: str, pairs: int, checkpointing: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks._training_memory", "--size", size]
    command += ["--pairs", str(pairs), *(["--checkpointing"] if checkpointing else [])]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="time and memory of training steps")
    parser.add_argument("--size", choices=sorted(SIZES), default="b32")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument(
        "--steps", type=int, default=2, help="AdamW has its moments from the second"
    )
    parser.add_argument("--checkpointing", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
