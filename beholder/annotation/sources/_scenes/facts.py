"""What a prompt says of a scene, and whether it is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"noun": 2.0, "count": 1.0, "colour": 1.0, "size": 1.0, "place": 1.0}
)
"""What each kind of fact counts in the alignment."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a prompt says.

    Attributes:
        about: the groups that it speaks of; none if it speaks of things that are not there.
        kind: one of WEIGHTS.
        true, said: what holds, empty if nothing is there, and what the prompt says.
    """

    about: tuple[int, ...]
    kind: str
    true: str
    said: str

    @property
    def is_altered(self) -> bool:
        """Whether the prompt is wrong here."""
        return self.true != self.said


@dataclass(frozen=True, slots=True)
class Statement:
    """A fact, and the characters `prompt[start:end]` that state it."""

    fact: Fact
    start: int
    end: int


def alignment(facts: Sequence[Fact]) -> float:
    """1 less the share of the facts that are altered, each by its weight."""
    total = sum(WEIGHTS[fact.kind] for fact in facts)
    return 1 - sum(WEIGHTS[fact.kind] for fact in facts if fact.is_altered) / total
