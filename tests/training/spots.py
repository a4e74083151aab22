"""Synthetic rich feedback: a red spot is a fault; a word is missed where the picture is dark."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from beholder.types import Feedback
from beholder.words import label_words

SIDE = 64
TINY: dict[str, Any] = {"size": "tiny", "heads": {"words": True}}
PROMPTS = ("a fox in the sun", "two cats, one hat", "a house by the sea", "old red car")


def feedback(folder: Path, count: int, seed: int = 0, prompts: int = 4) -> list[Feedback]:
    """Pictures with everything told: two maps, four ratings and the words."""
    random = np.random.default_rng(seed)
    return [one(folder, k, PROMPTS[k % prompts], random) for k in range(count)]


def one(folder: Path, number: int, prompt: str, random: np.random.Generator) -> Feedback:
    is_dark, has_spot = random.random(2) < 0.5
    grey = 40 if is_dark else 180
    pixels = grey + random.integers(-15, 16, (SIDE, SIDE, 3))
    x, y = random.integers(12, SIDE - 12, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    spot = has_spot & ((rows - y) ** 2 + (columns - x) ** 2 < 100)
    pixels[spot] = (250, 20, 20)
    path = folder / f"{number}-{random.integers(1 << 30)}.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    missed = [(0, len(prompt.split()[0]))] if is_dark else []
    maps = {"implausibility": spot, "misalignment": is_dark & (rows < SIDE // 2)}
    return Feedback(
        key=f"k{number}",
        prompt=prompt,
        image=str(path),
        values={
            "plausibility": 0.25 if has_spot else 0.75,
            "alignment": 0.25 if is_dark else 1.0,
            "aesthetics": 0.5,
            "overall": 0.25 if has_spot or is_dark else 1.0,
        },
        maps={k: torch.from_numpy(v.astype(np.uint8) * 255) for k, v in maps.items()},
        words=label_words(prompt, [missed]),
        votes=1,
    )
