"""What one of two processes of accelerate does: its half of the pictures into metrics."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import torch

from beholder.eval.metrics import Metric, metric
from tests.eval.extractors.toy import Toy

NAMES = ("fid", "kid", "inception_score", "precision_recall")
SETTINGS: dict[str, dict[str, Any]] = {
    "kid": {"subsets": 3, "size": 20},
    "inception_score": {"splits": "improved-gan"},
}


def pictures(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (60, 3, 4, 4), generator=generator, dtype=torch.uint8)


def filled(real: torch.Tensor, fake: torch.Tensor) -> list[Metric]:
    found = [metric(name, Toy(), **SETTINGS.get(name, {})) for name in NAMES]
    for each in found:
        for batch in real.split(16):
            each.update(batch, real=True)
        for batch in fake.split(16):
            each.update(batch)
    return found


def values(metrics: Sequence[Metric]) -> dict[str, float | None]:
    return {m.metric: m.value for each in metrics for m in each.compute_measurements()}


def main() -> None:
    """Print what all processes together come to; how they meet is in the environment."""
    from accelerate import PartialState

    torch.set_num_threads(1)
    state = PartialState(cpu=True)
    half = slice(0, 35) if state.process_index == 0 else slice(35, None)
    metrics = filled(pictures(0)[half], pictures(1)[half])
    told = {"together": values(metrics), "again": values(metrics)}
    metrics[0].sync()
    rows = metrics[0].compute_measurements()[0].real
    metrics[0].unsync()
    sys.stdout.write(json.dumps({**told, "rows": rows, "processes": state.num_processes}))
    state.destroy_process_group()


if __name__ == "__main__":
    main()
