"""Prompts to tune on, and some of them held out."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from beholder.errors import DataError
from beholder.prompt_sets import load_prompts
from beholder.rewards._base import prompt_fault

_LOG = logging.getLogger(__name__)
_HELD_OUT = 5  # one of so many prompts at most, but
_LEAST = 2  # of which scores have a spread


def read_prompts(source: str) -> list[str]:
    """The distinct prompts of a source, in its order.

    A source is what `beholder.prompt_sets.load_prompts` takes: a set by its name, a file, a folder
    or a data set on the hub. Prompts that no reward takes are left out and counted in the log.
    Raises DataError if there is none, or no prompt in it.
    """
    texts = [row.prompt for row in load_prompts(source)]
    prompts = [text for text in texts if prompt_fault(text) is None]
    if len(prompts) < len(texts):
        bad = len(texts) - len(prompts)
        _LOG.warning("%d of %d prompts of %s cannot be used", bad, len(texts), source)
    if not prompts:
        raise DataError(f"{source} holds no prompt")
    return prompts


def divided(
    prompts: Sequence[str], validation: Sequence[str] | None, count: int, seed: int
) -> tuple[list[str], list[str]]:
    """Prompts to learn on and at most `count` to evaluate on, which are not learned.

    Those to evaluate on are drawn from `validation`, or held out: a fifth of the prompts at most,
    but two. Raises DataError if none is left to learn on, or not two to evaluate on.
    """
    rng = np.random.default_rng(seed)
    if validation is None:
        count = min(count, max(len(prompts) // _HELD_OUT, _LEAST))
    source = prompts if validation is None else validation
    rows = sorted(rng.permutation(len(source))[:count])
    chosen = [source[row] for row in rows]
    held = set(chosen)
    learned = [prompt for prompt in prompts if prompt not in held]
    if not learned or len(chosen) < _LEAST:
        raise DataError(
            f"{len(prompts)} prompts leave {len(learned)} to learn on and {len(chosen)} to "
            f"evaluate on, of which there must be {_LEAST}; give more, or validation_prompts"
        )
    return learned, chosen


def prompts_hash(prompts: Sequence[str]) -> str:
    """Hexadecimal sha256 of prompts in their order."""
    return sha256(json.dumps(list(prompts)).encode()).hexdigest()
