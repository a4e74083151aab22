"""Synthetic judgements: of two grey pictures of a prompt the brighter one is preferred."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from beholder.rewards.mps import MPS
from beholder.types import Preference
from tests.rewards import tiny_towers

CONDITIONS = {"overall": "light, color", "detail": "shape, number"}
MPS_OPTIONS: dict[str, Any] = {"config": tiny_towers.CONFIG, "conditions": CONDITIONS}
FIT: dict[str, Any] = {"learning_rate": 3e-3, "warmup_steps": 5, "evaluate_every_steps": 20}


def tiny_mps(**options: Any) -> MPS:
    from beholder.rewards import load

    reward = load("mps", **{**MPS_OPTIONS, **options})
    assert isinstance(reward, MPS)
    return reward


def pictures(
    folder: Path, prompts: int, each: int, seed: int = 0
) -> dict[str, list[tuple[str, int]]]:
    """For each prompt, which differs by seed, picture files with their brightness."""
    random = np.random.default_rng(seed)
    made: dict[str, list[tuple[str, int]]] = {}
    for p in range(prompts):
        prompt = f"prompt number {p}" + (f" of seed {seed}" if seed else "")
        for k, grey in enumerate(random.choice(np.arange(20, 236), each, replace=False)):
            path = folder / f"{seed}-{p}-{k}.png"
            noise = random.integers(-15, 16, (32, 32, 3))
            Image.fromarray((grey + noise).astype(np.uint8)).save(path)
            made.setdefault(prompt, []).append((str(path), int(grey)))
    return made


def preferences(folder: Path, prompts: int = 12, each: int = 3, seed: int = 0) -> list[Preference]:
    """All pairs; "detail" is answered for some of them and one in ten answers is unsure."""
    rows: list[Preference] = []
    for prompt, made in pictures(folder, prompts, each, seed).items():
        for (first, bright), (second, dark) in combinations(made, 2):
            p = float(bright > dark)
            unsure = {"detail": 0.5 + (p - 0.5) / 2} if len(rows) % 10 == 0 else {}
            row = Preference(
                key=f"{prompt} {len(rows)}",
                prompt=prompt,
                first=first,
                second=second,
                p_first={"overall": p, **({"detail": p} if len(rows) % 2 else {}), **unsure},
            )
            rows.append(row)
    return rows
