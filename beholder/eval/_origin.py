"""What made a set of features: figures compare only where this is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from beholder.errors import DataError

UNKNOWN = "unknown"
"""What a file of somebody else does not say of its features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Everything that decides what the features of a picture or clip are.

    Attributes:
        extractor: the network, such as "inception-2015-12-05".
        weights: the first 16 digits of the sha256 of its weights, by `weights_id`.
        layer: whose values they are, such as "2048".
        resize: how pictures came to its size, such as "tf1".
        decode: how files became pixels, such as "alpha=white".
        clips: how frames were taken from videos; "" for pictures.
    """

    extractor: str
    weights: str
    layer: str
    resize: str
    decode: str
    clips: str = ""

    def differences(self, other: Origin) -> dict[str, tuple[str, str]]:
        """The fields that differ, with both values; an unknown one differs from a known one."""
        return {name: pair for name, pair in self._pairs(other).items() if pair[0] != pair[1]}

    def unsure(self, other: Origin) -> dict[str, tuple[str, str]]:
        """The fields of which one side or both do not know whether they agree, with both values."""
        return {name: pair for name, pair in self._pairs(other).items() if UNKNOWN in pair}

    def _pairs(self, other: Origin) -> dict[str, tuple[str, str]]:
        theirs = other.as_dict()
        return {name: (mine, theirs[name]) for name, mine in self.as_dict().items()}

    def as_dict(self) -> dict[str, str]:
        """The same as plain JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Origin:
        """The origin that `as_dict` wrote; what is missing is unknown."""
        return cls(**{f.name: str(values.get(f.name, _absent(f.name))) for f in fields(cls)})

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that differ where any field does."""
        text = "\n".join(f"{name}={value}" for name, value in self.as_dict().items())
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_same(
    first: Origin, second: Origin, *, assumed: bool = False, unknown_agrees: bool = False
) -> None:
    """Refuse to compare features of two origins.

    Args:
        first: of one side.
        second: of the other.
        assumed: take all fields to agree that a side, or both, do not know.
        unknown_agrees: take fields to agree that both do not know: for parts of one set, and for
            features that a caller brought together by hand.

    Raises:
        DataError: naming every field that differs or that nobody knows, with both values.
    """
    unsure = first.unsure(second)
    found = {**first.differences(second), **unsure}
    if assumed:
        found = {name: pair for name, pair in found.items() if name not in unsure}
    elif unknown_agrees:
        found = {name: pair for name, pair in found.items() if pair[0] != pair[1]}
    if found:
        raise DataError(_refusal(found))


def _refusal(found: Mapping[str, tuple[str, str]]) -> str:
    """Why two sides do not compare: what differs, or else what nobody knows."""
    known = {name: pair for name, pair in found.items() if UNKNOWN not in pair}
    listed = "; ".join(
        f"{n}: {mine} and {theirs}" for n, (mine, theirs) in (known or found).items()
    )
    if known:
        return (
            f"the two sides were not made alike ({listed}), so their distance means nothing; "
            "measure both by one protocol"
        )
    return (
        f"nobody says whether the two sides were made alike ({listed}); if you know that they "
        "were, say --assume-protocol"
    )


def _absent(name: str) -> str:
    return "" if name == "clips" else UNKNOWN
