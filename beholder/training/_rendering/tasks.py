"""Which pictures are to be drawn: one for each prompt and seed, with name and noise of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beholder.prompt_sets import PromptRow

_WORDS = 40  # letters of a prompt in a file's name


@dataclass(frozen=True, slots=True)
class Task:
    """One picture of every checkpoint.

    Attributes:
        row: the prompt.
        seed: which of the prompt's pictures.
        noise_seed: of everything random in it, in [0, 2^32).
        name: of its file, without suffix.
    """

    row: PromptRow
    seed: int
    noise_seed: int
    name: str


def tasks_of(prompts: Sequence[PromptRow], seeds: Sequence[int]) -> list[Task]:
    """A task for each seed of each prompt, prompt by prompt.

    Name and noise depend on the prompt's text and the seed alone, so that prompts and seeds may be
    added later.
    """
    return [
        Task(row, seed, noise_seed(row.prompt, seed), f"{_slug(row.prompt)}-s{seed}")
        for row in prompts
        for seed in seeds
    ]


def noise_seed(prompt: str, seed: int) -> int:
    """The seed of a picture's noise: another for each prompt, so that prompts are independent.

    In [0, 2^32), of which torch's generator on the CPU makes use.
    """
    return int.from_bytes(_digest(f"{seed}\n{prompt}")[:4], "big")


def in_batches(tasks: Sequence[Task], size: int) -> Iterator[Sequence[Task]]:
    """Tasks that are drawn in one call; the same for the same tasks, however often it is asked."""
    for start in range(0, len(tasks), size):
        yield tasks[start : start + size]


def _slug(prompt: str) -> str:
    """Words of a prompt that a file's name can hold, and what tells it from every other prompt."""
    words = re.sub(r"[^a-z0-9]+", "-", prompt.lower())[:_WORDS].strip("-")
    return "-".join(filter(None, (words, _digest(prompt)[:6].hex())))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()
