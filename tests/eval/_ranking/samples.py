"""Small tables of scores, and the definition of every share of pairs."""

from collections.abc import Sequence

import numpy as np

from beholder.eval._bootstrap import Floats
from beholder.eval._ranking.cells import Cells, gather

Rows = Sequence[tuple[object, ...]]


def columns(rows: Rows) -> dict[str, list[object]]:
    """Rows of model, prompt, score and maybe seed as columns."""
    names = ("model", "prompt", "s", "seed")
    return {n: list(c) for n, c in zip(names, zip(*rows, strict=True), strict=False)}


def cells(rows: Rows) -> Cells:
    return gather(columns(rows), "s", "model", "prompt")


def random_rows(seed: int, prompts: int = 6, levels: int = 4) -> list[tuple[object, ...]]:
    """Three checkpoints, up to three pictures on each prompt, many equal scores."""
    rng = np.random.default_rng(seed)
    return [
        (name, prompt, float(rng.integers(levels)), int(rng.integers(3)))
        for prompt in range(prompts)
        for name in "abc"
        for _ in range(int(rng.integers(0 if prompt else 1, 4)))
    ]


def share(ours: Floats, theirs: Floats) -> float:
    """Share of pairs that we win, ties half."""
    return float((1 + np.sign(ours[:, None] - theirs[None, :])).mean() / 2)
