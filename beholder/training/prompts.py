"""Judgements by their prompts: side by side, weighed by how many there are, or held out whole."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar, runtime_checkable

from beholder.errors import DataError

PromptWeights = Literal["none", "inverse"]
"""none: every judgement counts once. inverse: 1 / judgements of its prompt, as in PickScore
(Kirstain et al., 2023), so that every prompt counts alike however often people were asked."""


@runtime_checkable
class Prompted(Protocol):
    """A judgement of what was made for a prompt."""

    @property
    def key(self) -> str:
        """What names it."""

    @property
    def prompt(self) -> str:
        """The prompt."""


Judged = TypeVar("Judged", bound=Prompted)


def folded(text: str) -> str:
    """A prompt without its case and without what the number and kind of its spaces tell."""
    return " ".join(text.casefold().split())


def by_prompt(judged: Sequence[Prompted], rows: Sequence[int], longest: int) -> list[list[int]]:
    """Rows of the same prompt, in stretches of at most `longest`, by order of appearance."""
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(judged[row].prompt, []).append(row)
    return [
        group[at : at + longest]
        for group in groups.values()
        for at in range(0, len(group), longest)
    ]


def prompt_weights(judged: Sequence[Prompted], how: PromptWeights) -> list[float] | None:
    """How much each judgement counts, 1 on average; None if each counts once."""
    if how == "none":
        return None
    times = Counter(folded(one.prompt) for one in judged)
    return [len(judged) / (len(times) * times[folded(one.prompt)]) for one in judged]


def split_by_prompt(
    judged: Sequence[Judged], share: float, seed: int
) -> tuple[list[Judged], list[Judged]]:
    """Judgements to learn from and held out: about `share` of the prompts, at least one.

    Prompts that differ in case and spacing alone are one, see `folded`. A prompt's side depends on
    its text and the seed alone as long as their number stays the same.
    Raises DataError if all have one prompt.
    """
    return split_by(judged, lambda one: one.prompt, share, seed)


def split_by(
    judged: Sequence[Judged], name: Callable[[Judged], str], share: float, seed: int
) -> tuple[list[Judged], list[Judged]]:
    """As `split_by_prompt`, by a name that tells which judgements belong together."""
    spellings: defaultdict[str, set[str]] = defaultdict(set)
    for one in judged:
        spellings[folded(name(one))].add(name(one))
    if len(spellings) < 2:
        raise DataError(
            "all judgements have one prompt, so no prompt can be held out; "
            "give an evaluation set, or held_out_share=0 to train without"
        )
    # By its first spelling as written, so that splits made before prompts were folded stay.
    order = sorted(spellings, key=lambda text: _draw(min(spellings[text]), seed))
    held_out = set(order[: max(1, round(share * len(order)))])
    sides: tuple[list[Judged], list[Judged]] = ([], [])
    for one in judged:
        sides[folded(name(one)) in held_out].append(one)
    return sides


def _draw(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
