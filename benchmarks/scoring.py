"""Scores of JPEG files beside the natural use of other packages, in CPU time of one thread.

    python -m benchmarks.scoring --out benchmarks/results/scoring.txt
    python -m benchmarks.scoring --only mps --size h14 --prompts 1 --pictures 3 --rounds 1

All sides of a case share random weights and start from files. Rounds are interleaved; the ratio of
each round is what counts, so that a busy machine slows all sides. "cold" forgets the prompts that
were encoded before, "warm" keeps them, as a reward that is asked about the same prompts again.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import beholder
from beholder.eval.cost import processor
from beholder.rewards import Reward
from beholder.rewards._text_cache import TextCache
from beholder.rewards._towers import build_towers
from beholder.rewards._towers.clip import CLIP_H
from beholder.rewards.hps import HPS
from beholder.rewards.mps import MPS, default_conditions
from beholder.rewards.pickscore import PickScore
from benchmarks import _loops

Side = Callable[[], Tensor]
CLIP_B = {
    "text": {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
    },
    "vision": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "patch_size": 32,
    },
    "projection_dim": 512,
}
SIZES: dict[str, dict[str, Any]] = {"b32": CLIP_B, "h14": CLIP_H}
CROSS = {"b32": {"layer_num": 4, "heads": 8}, "h14": {}}


@dataclass(frozen=True)
class Work:
    """Files and prompts: each prompt has `pictures` pictures, which lie together."""

    paths: list[Path]
    prompts: list[str]
    pictures: int
    size: str
    folder: Path


def main() -> None:
    given = _arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    lines = [_heading(given)]
    with tempfile.TemporaryDirectory() as folder:
        work = _work(Path(folder), given)
        for name, case in CASES.items():
            if given.only in {"", name}:
                lines += _measured(name, case(work), len(work.paths), given.rounds)
    report = "\n".join(lines) + "\n"
    sys.stdout.write(report)
    if given.out:
        given.out.write_text(report)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="scores of files, beside other packages")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=4, help="of each prompt")
    parser.add_argument("--side", type=int, default=512, help="of the JPEG files, in pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", choices=SIZES, default="b32", help="of the towers")
    parser.add_argument("--only", choices=["", *CASES], default="")
    parser.add_argument("--out", type=Path, help="also write the report to this file")
    return parser.parse_args()


def _heading(given: argparse.Namespace) -> str:
    packages = ("torch", "transformers", "open_clip_torch", "pillow", "simplejpeg")
    listed = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{datetime.now(UTC).date()}, {processor()}, one thread, float32\n{listed}\n"
        f"{given.prompts} prompts x {given.pictures} pictures of {given.side}², towers "
        f"{given.size}; CPU ms a picture, medians of {given.rounds} interleaved rounds"
    )


def _work(folder: Path, given: argparse.Namespace) -> Work:
    paths = []
    for k in range(given.prompts * given.pictures):
        paths.append(folder / f"{k}.jpg")
        paths[-1].write_bytes(jpeg(given.side, k))
    nouns = ["fox", "lighthouse in a storm", "bowl of red apples", "portrait of a dancer"]
    texts = [f"a {nouns[k % 4]} number {k}, oil on canvas" for k in range(given.prompts)]
    prompts = [text for text in texts for _ in range(given.pictures)]
    return Work(paths, prompts, given.pictures, given.size, folder)


def jpeg(side: int, seed: int) -> bytes:
    """A file as large as a photograph's: smooth shapes, edges and a little grain."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))
    grain = generator.normal(0, 6, (side, side, 3))
    values = np.clip(smooth + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=90)
    return file.getvalue()


def _measured(name: str, sides: Mapping[str, Side], rows: int, rounds: int) -> list[str]:
    scores = {side: run() for side, run in sides.items()}  # also warms everything up
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            start = time.process_time()
            run()
            seconds[side].append(time.process_time() - start)
    first = next(iter(sides))
    spread = scores[first].std().item()
    lines = [f"\n{name} (scores spread {spread:.3g})"]
    for side in sides:
        ratios = [a / b for a, b in zip(seconds[first], seconds[side], strict=True)]
        apart = (scores[side] - scores[first]).abs().max().item()
        lines.append(
            f"  {side:34} {1000 * statistics.median(seconds[side]) / rows:8.1f} ms  "
            f"{statistics.median(ratios):5.2f} x  ({min(ratios):.2f} to {max(ratios):.2f})  "
            f"largest difference {apart:.2g}, rank correlation "
            f"{_rho(scores[side], scores[first]):.5f}"
        )
    rivals = [side for side in sides if not side.startswith("beholder")]
    for side in rivals:
        ratios = [a / b for a, b in zip(seconds[side], seconds["beholder"], strict=True)]
        lines.append(f"  beholder is {statistics.median(ratios):.2f} times as fast as {side}")
    return lines


def _rho(first: Tensor, second: Tensor) -> float:
    ranks = torch.stack([first.argsort().argsort(), second.argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


def forget(reward: Reward) -> None:
    """Prompts that were encoded before are encoded again."""
    for name, part in vars(reward).items():
        if isinstance(part, TextCache):
            vars(reward)[name] = TextCache()


def _ours(reward: Reward, work: Work, *, warm: bool = False, batch_size: int = 16) -> Side:
    def run() -> Tensor:
        if not warm:
            forget(reward)
        return reward.score(work.paths, work.prompts, batch_size=batch_size).total

    return run


def pickscore(work: Work) -> dict[str, Side]:
    reward = beholder.load("pickscore", config=SIZES[work.size])
    assert isinstance(reward, PickScore)
    given = (reward, work.paths, work.prompts)
    return {
        "one pair at a time (official)": lambda: _loops.pickscore_one_by_one(*given),
        "a batch (flow_grpo)": lambda: _loops.pickscore_batched(*given),
        "a batch of floats (imscore)": lambda: _loops.imscore_batched(*given),
        "beholder": _ours(reward, work),
        "beholder, batch of 4": _ours(reward, work, batch_size=4),
        "beholder, warm": _ours(reward, work, warm=True),
    }


def hps(work: Work) -> dict[str, Side]:
    name = {"b32": "ViT-B-32", "h14": "ViT-H-14"}[work.size]
    towers = build_towers(
        {
            "kind": "open_clip",
            "name": name,
            "preprocess": {"fit": "pad", "resampling": "antialiased"},
        }
    )
    reward = HPS(towers).eval()
    checkpoint = work.folder / "hps.pt"
    model: Any = towers.model
    torch.save({"state_dict": model.state_dict()}, checkpoint)
    starts = range(0, len(work.paths), work.pictures)

    def a_prompt_a_call() -> Tensor:
        calls = [
            _loops.hpsv2_call(
                reward, checkpoint, work.paths[k : k + work.pictures], work.prompts[k]
            )
            for k in starts
        ]
        return torch.tensor([score for call in calls for score in call])

    def a_picture_a_call() -> Tensor:
        pairs = zip(work.paths, work.prompts, strict=True)
        calls = [_loops.hpsv2_call(reward, checkpoint, [path], text) for path, text in pairs]
        return torch.tensor([score for call in calls for score in call])

    return {
        "hpsv2.score, a call a prompt": a_prompt_a_call,
        "hpsv2.score, a call a picture": a_picture_a_call,
        "beholder": _ours(reward, work),
    }


def mps(work: Work) -> dict[str, Side]:
    conditions = {"overall": default_conditions()["overall"]}
    config = {"clip": SIZES[work.size], "cross": CROSS[work.size]}
    reward = beholder.load("mps", config=config, conditions=conditions)
    assert isinstance(reward, MPS)
    given = (reward, work.paths, work.prompts)
    return {
        "one pair at a time (official)": lambda: _loops.mps_one_by_one(*given),
        "a batch (imscore; other mask rule)": lambda: _loops.mps_imscore(*given),
        "beholder": _ours(reward, work),
        "beholder, batch of 4": _ours(reward, work, batch_size=4),
        "beholder, warm": _ours(reward, work, warm=True),
        "beholder, warm, batch of 4": _ours(reward, work, warm=True, batch_size=4),
    }


CASES: dict[str, Callable[[Work], dict[str, Side]]] = {
    "pickscore": pickscore,
    "hps": hps,
    "mps": mps,
}


if __name__ == "__main__":
    main()
