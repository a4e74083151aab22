"""MPS beside the published evaluation loop: one picture and one text at a time, nothing shared.

    python -m benchmarks.mps --pictures 4 --prompts 2 --rounds 5

Both sides compute the four conditions in float32 with the same random weights. A round times one
after the other; the median of the rounds' ratios is printed, so a busy machine slows both sides.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

import beholder
from beholder.eval.cost import processor
from beholder.rewards.mps import MPS
from tests.rewards.published_mps import published_score


def main() -> None:
    given = _arguments()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    reward = _reward(given.width, given.layers, given.size)
    prompts = [f"{k} red foxes in the snow" for k in range(given.prompts)] * given.pictures
    values = torch.randn(len(prompts), 3, given.size, given.size)
    with torch.no_grad():
        seconds = [_round(reward, values, prompts) for _ in range(given.rounds)]
        difference = (_ours(reward, values, prompts) - _published(reward, values, prompts)).abs()
    ratios = [published / ours for published, ours in seconds]
    per_row = [1000 * statistics.median(side) / len(prompts) for side in zip(*seconds, strict=True)]
    report = {
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {given.threads} thread(s)",
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy")},
        "rows": len(prompts),
        "published_ms_per_row": round(per_row[0], 2),
        "ours_ms_per_row": round(per_row[1], 2),
        "speedup_median": round(statistics.median(ratios), 2),
        "speedup_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "largest_difference": difference.max().item(),
    }
    print(json.dumps(report, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="MPS beside the published evaluation loop")
    parser.add_argument("--pictures", type=int, default=4, help="pictures of each prompt")
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--width", type=int, default=256, help="width of both towers")
    parser.add_argument("--layers", type=int, default=4, help="layers of both towers")
    parser.add_argument("--size", type=int, default=224, help="pixels a side; patches have 32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _reward(width: int, layers: int, size: int) -> MPS:
    tower = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "hidden_act": "gelu",
    }
    vision = {**tower, "image_size": size, "patch_size": 32}
    config: dict[str, Any] = {
        "clip": {"text": tower, "vision": vision, "projection_dim": width},
        "cross": {"layer_num": 4, "heads": width // 64},
    }
    reward = beholder.load("mps", config=config)
    assert isinstance(reward, MPS)
    return reward


def _round(reward: MPS, values: Tensor, prompts: Sequence[str]) -> tuple[float, float]:
    sides: tuple[Callable[..., Tensor], ...] = (_published, _ours)
    published, ours = (_seconds(side, reward, values, prompts) for side in sides)
    return published, ours


def _seconds(run: Callable[..., Tensor], *given: object) -> float:
    start = time.process_time()
    run(*given)
    return time.process_time() - start


def _ours(reward: MPS, values: Tensor, prompts: Sequence[str]) -> Tensor:
    aspects = reward.score_prepared(values, prompts).aspects
    return torch.stack([aspects[name] for name in reward.conditions])


def _published(reward: MPS, values: Tensor, prompts: Sequence[str]) -> Tensor:
    rows = []
    for text in reward.conditions.values():
        condition = reward.towers.tokenize([text])
        scores = [
            published_score(reward, values[k : k + 1], reward.towers.tokenize([prompt]), condition)
            for k, prompt in enumerate(prompts)
        ]
        rows.append(torch.cat(scores))
    return torch.stack(rows)


if __name__ == "__main__":
    main()
