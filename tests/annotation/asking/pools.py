"""Candidates made up of numbers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from beholder.annotation.asking.candidates import Candidates, numbered, pairs_within


def pool(
    prompts: Sequence[str],
    *scores: Sequence[float] | npt.NDArray[np.float64],
    checkpoints: Sequence[str] = (),
) -> Candidates:
    """Every two pictures of a prompt; picture k is "/p/k", reward k is "rk"."""
    return Candidates(
        images=[f"/p/{k}" for k in range(len(prompts))],
        prompts=list(prompts),
        checkpoints=list(checkpoints) or [""] * len(prompts),
        rewards=[f"r{k}" for k in range(len(scores))],
        scores=np.array(scores, dtype=np.float64).reshape(-1, len(prompts)),
        pairs=pairs_within(numbered(prompts)),
        left_out={},
    )
