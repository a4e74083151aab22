"""Prompts: one for all or one each, what cannot be scored, which are the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from beholder.errors import DataError

MAX_PROMPT_CHARACTERS = 20_000
"""Longer prompts are refused: a tokenizer spends seconds on text that it then cuts to 77 tokens."""


def prompt_fault(prompt: object) -> str | None:
    """Why a prompt cannot be scored; None if it can."""
    if not isinstance(prompt, str):
        return f"expected text, got {type(prompt).__name__}"
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        return f"{len(prompt)} characters, at most {MAX_PROMPT_CHARACTERS} are accepted"
    try:
        prompt.encode()
    except UnicodeEncodeError:
        return "it holds a lone surrogate and is not valid Unicode"
    return None


def spread_prompts(prompts: str | Sequence[str] | None, rows: int, *, needed: bool) -> list[str]:
    """One prompt for each of `rows` pictures; raises DataError if that cannot be."""
    if prompts is None:
        if needed:
            raise DataError("this reward needs prompts; give one for all pictures or one each")
        return [""] * rows
    if isinstance(prompts, str):
        return [prompts] * rows
    if len(prompts) != rows:
        raise DataError(
            f"{rows} pictures but {len(prompts)} prompts; give one each, or one text for all"
        )
    return list(prompts)


def distinct(values: Sequence[str]) -> tuple[list[str], Tensor]:
    """Distinct values in order, and the row of each input's value: a prompt is encoded once."""
    row: dict[str, int] = {}
    rows = [row.setdefault(value, len(row)) for value in values]
    return list(row), torch.tensor(rows, dtype=torch.long)
