"""Small pictures on disk, each unlike every other."""

from pathlib import Path

import numpy as np
from PIL import Image


def save_picture(path: Path, seed: int, prompt: str | None = None) -> Path:
    """A noise picture of that seed, and its prompt beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    if prompt is not None:
        path.with_suffix(".txt").write_text(prompt, encoding="utf-8")
    return path


def save_checkpoints(folder: Path, prompts: int, names: tuple[str, ...]) -> dict[str, Path]:
    """A folder of one picture a prompt for each checkpoint."""
    for k, name in enumerate(names):
        for p in range(prompts):
            save_picture(folder / name / f"{p:03d}.png", 1000 * k + p, f"prompt {p}")
    return {name: folder / name for name in names}
