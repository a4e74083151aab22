"""Scores that a table already holds, asked for like a reward's; no model is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from beholder.errors import DataError
from beholder.tables import score_parts
from beholder.types import Scores

Pair = tuple[str, str]
"""A picture's absolute path and its prompt."""

ABSENT = "absent: the table holds no row of this picture with this prompt"


class TableScores:
    """One reward's scores by picture and prompt; serves wherever a reward's `score` is asked.

    Args:
        rows: of a score table, with image, prompt, "<reward>.total", "<reward>.<aspect>" and
            "<reward>.error".
        reward: whose columns are taken.

    Raises DataError if the rows have no "<reward>.total".
    """

    def __init__(self, rows: Iterable[Mapping[str, object]], reward: str) -> None:
        self._numbers: dict[Pair, dict[str, float]] = {}
        self._errors: dict[Pair, str] = {}
        for row in rows:
            self._add(row, reward)

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        """Scores of pictures by path; one that is not in the table is a row of `errors`."""
        pairs = [pair_of(image, prompt) for image, prompt in zip(images, prompts, strict=True)]
        errors = {k: self._why(pair) for k, pair in enumerate(pairs) if pair not in self._numbers}
        names = dict.fromkeys(name for numbers in self._numbers.values() for name in numbers)
        columns = {
            name: torch.tensor([self._numbers.get(p, {}).get(name, math.nan) for p in pairs])
            for name in names
        }
        total = columns.pop("total", torch.full((len(pairs),), math.nan))
        return Scores(total, columns, errors=errors)

    def aspects(self, image: str, prompt: str) -> Mapping[str, float]:
        """Each aspect's score of one picture, "total" among them; empty if it has none."""
        return self._numbers.get(pair_of(image, prompt), {})

    def _add(self, row: Mapping[str, object], reward: str) -> None:
        prefix = f"{reward}."
        if f"{prefix}total" not in row:
            raise DataError(f"row {row.get('key')!r} has no column {prefix}total")
        pair = pair_of(str(row["image"]), str(row.get("prompt") or ""))
        parts = {part: row[f"{prefix}{part}"] for part in score_parts(list(row), reward)}
        numbers = {
            part: float(value)
            for part, value in parts.items()
            if isinstance(value, float) and math.isfinite(value)
        }
        if "total" in numbers:
            self._numbers[pair] = numbers
        else:
            self._errors[pair] = str(row.get(f"{prefix}error") or "non-finite: no score")

    def _why(self, pair: Pair) -> str:
        return self._errors.get(pair, ABSENT)


def pair_of(image: str, prompt: str) -> Pair:
    """The key under which a picture with its prompt is found, however its path is written."""
    return str(Path(image).absolute()), prompt
