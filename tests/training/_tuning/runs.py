"""Folders of tunings as a run leaves them; their numbers are invented."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from beholder.training._tuning.record import LORA
from beholder.training._tuning.samples import write_samples
from beholder.training.algorithms._base import TuneConfig
from beholder.training.pipeline import Sampling
from beholder.training.run_folder import claim, write_json

PROMPTS = (
    "a ginger tabby cat looks into the camera, soft daylight",
    "a white cup of black coffee on a wooden table, seen from above",
    "a white rocket lifts off from its launch pad at dusk",
    "portrait of a smiling astronaut in an orange suit before a flag",
)
START = {"mean": 0.4, "std": 0.5, "held_out_mean": 21.0, "held_out_std": 1.25, "levels": [0.5]}
BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
Picture = Callable[[int, float], Tensor]


def flat(row: int, share: float) -> Tensor:
    """A tiny picture that gets brighter."""
    return torch.full((3, 8, 12), 0.2 + 0.6 * share)


def evaluation(gain: float, held_out_gain: float | None, share: float = 0.0) -> dict[str, float]:
    """Metrics of an evaluation with these gains in base standard deviations."""
    found = {"eval/reward": 0.4 + 0.5 * gain, "eval/reward_gain": gain, "eval/failed": 0.0}
    if held_out_gain is not None:
        found |= {"eval/held_out": 21 + 1.25 * held_out_gain, "eval/held_out_gain": held_out_gain}
        found["eval/gap"] = gain - held_out_gain
    return found | {"eval/denoising": 0.16 * (1 + share / 50)}


def run(
    folder: Path,
    evaluations: dict[int, dict[str, float]] | None = None,
    *,
    best: int | None = None,
    picture: Picture = flat,
    prompts: Sequence[str] = PROMPTS,
    **options: Any,
) -> Path:
    """A run with these evaluations by step, which ended if `best` tells its best step."""
    given = {"algorithm": "refl", "reward": "mps", "held_out_reward": "clipscore"}
    config = TuneConfig(**given | {"sampling": Sampling(guidance=5.0)} | options)
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, "config.yaml", {**asdict(config), "margin": 2.0, "window": [0.15, 0.65]})
    evaluations = rising() if evaluations is None else evaluations
    if not evaluations:
        return folder
    names = {"pipeline": config.pipeline, "reward": config.reward}
    claim(folder, "inputs.yaml", {**names, "learned": 1200, "validated": len(prompts)})
    write_json(folder / "versions.json", {"beholder": "0.1.0", "torch": "2.6.0", "timm": None})
    write_json(folder / "start.json", START)
    write_json(
        folder / "selftest.json", {"lines": ["identity       exact", "LoRA reload    exact"]}
    )
    last = max(evaluations)
    for step in evaluations:
        pixels = torch.stack([picture(row, step / max(last, 1)) for row in range(len(prompts))])
        write_samples(folder, step, range(len(prompts)), pixels)
    (folder / "samples" / "prompts.json").write_text(json.dumps(list(prompts)))
    _journal(folder, evaluations)
    if best is not None:
        told = {"steps": last, "best_step": best, "stopped_early": best < last}
        write_json(folder / "summary.json", {**told, "metrics": evaluations[best]})
        (folder / LORA).write_bytes(b"weights")
    return folder


def rising(steps: int = 400, every: int = 25) -> dict[int, dict[str, float]]:
    """The learned reward rises all the way; the held-out one falls from two thirds on."""
    found = {}
    for step in range(0, steps + 1, every):
        share = step / steps
        held_out = 1.1 * math.sin(3.6 * share) * (1 - 0.3 * share)
        found[step] = evaluation(2.4 * (1 - math.exp(-2.2 * share)), held_out, share)
    return found


def _journal(folder: Path, evaluations: dict[int, dict[str, float]]) -> None:
    chance, last = random.Random(0), max(evaluations)
    lines = []
    for step in range(last + 1):
        if step and step % 10 == 0:
            lines.append({"step": step, **_learning(step / last, chance)})
        if step in evaluations:
            lines.append({"step": step, **evaluations[step]})
    plain = [{k: v if math.isfinite(v) else None for k, v in line.items()} for line in lines]
    text = "".join(f"{json.dumps(line)}\n" for line in plain)
    (folder / "metrics.jsonl").write_text(text)


def _learning(share: float, chance: random.Random) -> dict[str, float]:
    return {
        "train/loss": 1.2 - share + chance.gauss(0, 0.15),
        "reward/mean": 0.4 + share + chance.gauss(0, 0.2),
        "reward/std": 0.5 - 0.2 * share,
        "train/kl": 0.02 * share**1.5,
        "train/gradient_norm": 0.3 + abs(chance.gauss(0, 0.1)),
        "train/learning_rate": 1e-4,
        "time/step_seconds": 1.5,
    }
