"""Judgements by their prompts: side by side, weighed by how many there are, or held out whole."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar, runtime_checkable
from unicodedata import normalize

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
    """A prompt without its case, what the number and kind of its spaces tell, and how it is coded.

    Unicode has several codes for one letter with an accent: its canonical caseless match (Unicode
    Standard, D145) in composed form.
    """
    caseless = normalize("NFD", text).casefold()
    return " ".join(normalize("NFC", caseless).split())


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


def prompt_weights(
    judged: Sequence[Judged],
    how: PromptWeights,
    name: Callable[[Judged], Hashable] = lambda one: folded(one.prompt),
) -> list[float] | None:
    """How much each judgement counts, 1 on average; None if each counts once.

    `name` tells which are of one prompt.
    """
    if how == "none":
        return None
    names = [name(one) for one in judged]
    times = Counter(names)
    return [len(names) / (len(times) * times[own]) for own in names]


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
    judged: Sequence[Judged],
    name: Callable[[Judged], str],
    share: float,
    seed: int,
    tied: Mapping[str, str] | None = None,
) -> tuple[list[Judged], list[Judged]]:
    """As `split_by_prompt`, by a name that tells which judgements belong together.

    `tied` gives each folded name the group whose names must be on one side. Groups are then held
    out in their order while they fit into the share of the names; the smallest if none does.
    Raises DataError if all are one group.
    """
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
    groups: dict[str, list[str]] = {}
    for text in order:
        groups.setdefault(text if tied is None else tied[text], []).append(text)
    held_out = _first(list(groups.values()), max(1, round(share * len(order))))
    sides: tuple[list[Judged], list[Judged]] = ([], [])
    for one in judged:
        sides[folded(name(one)) in held_out].append(one)
    return sides


def _first(groups: Sequence[Sequence[str]], count: int) -> set[str]:
    """The names of the first groups that hold at most so many; of the smallest if none does."""
    if len(groups) < 2:
        raise DataError(
            f"all {len(groups[0])} prompts are tied to each other by pictures that several of them "
            "share, so none can be held out whole; give an evaluation set, or held_out_share=0 to "
            "train without. leaks=drop holds prompts out and trains without what shows their "
            "pictures"
        )
    found: set[str] = set()
    for group in groups:
        if len(found) + len(group) <= count:
            found |= set(group)
    smallest = min(groups, key=len)
    return found or set(smallest)


def _draw(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
