"""What a server says of the rewards that it serves; read with care, for it may be anybody's."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beholder.errors import ServerError
from beholder.rewards._card import RewardCard
from beholder.rewards._preprocess import Fitting
from beholder.rewards._remote.fittings import Smaller, fitting_of

_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_DETAILS = ("maps", "words", "deviations")
_MOST_ASPECTS = 256
_TEXT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One reward of a server.

    Attributes:
        name: under which it is served.
        identity: what decides its numbers.
        details: what it tells beside total and aspects: "maps", "words", "deviations".
        fitting: what may shrink 8-bit pictures before they travel; None keeps them whole.
        card: as of a local reward.
    """

    name: str
    identity: Mapping[str, object]
    details: tuple[str, ...]
    fitting: Fitting | None
    card: RewardCard


def served_of(body: object, plain: RewardCard) -> list[Served]:
    """The rewards in the answer of /v1/rewards, the default first.

    Args:
        body: its JSON.
        plain: the card that the server's facts are put into.

    Raises:
        ServerError: if that is no list of rewards.
    """
    rewards = body.get("rewards") if isinstance(body, dict) else None
    if not isinstance(rewards, list):
        raise ServerError("the server does not say what it serves: it is no reward server")
    return [_served(said, plain) for said in rewards]


def _served(said: object, plain: RewardCard) -> Served:
    if not isinstance(said, dict) or not isinstance(said.get("identity"), dict):
        raise ServerError("the server tells of a reward without an identity; it may be too old")
    fitting = fitting_of(said.get("fitting"))
    return Served(
        name=_name(said.get("name")),
        identity=said["identity"],
        details=tuple(d for d in _DETAILS if d in _texts(said.get("details"))),
        fitting=None if fitting is None else Smaller(fitting),
        card=RewardCard(
            name=_name(said.get("reward")),
            paper=plain.paper,
            measures=_text(said.get("measures")),
            weights_license=_text(said.get("weights_license")) or "none",
            weights=plain.weights,
            score_range=_range(said.get("score_range")),
            aspects=_aspects(said.get("aspects")),
            needs_prompt=said.get("needs_prompt") is not False,
            differentiable=False,
            notes=plain.notes,
        ),
    )


def _name(said: object) -> str:
    if not isinstance(said, str) or not _NAME.fullmatch(said):
        raise ServerError(f"the server tells of a reward with the name {_shown(said)}")
    return said


def _aspects(said: object) -> tuple[str, ...]:
    """Names that columns of a table can have."""
    names = _texts(said)
    wrong = [n for n in names if not n.isprintable() or not 0 < len(n) <= 64 or n == "total"]
    if wrong or len(set(names)) < len(names) or len(names) > _MOST_ASPECTS:
        raise ServerError(f"the server tells of aspects that cannot be: {_shown(list(names))}")
    return names


def _texts(said: object) -> tuple[str, ...]:
    if said is None:
        return ()
    if not isinstance(said, Sequence) or not all(isinstance(text, str) for text in said):
        raise ServerError(f"the server lists names as {_shown(said)}")
    return tuple(said)


def _text(said: object) -> str:
    text = said if isinstance(said, str) else ""
    return "".join(c for c in text[:_TEXT] if c.isprintable())


def _range(said: object) -> tuple[float, float]:
    low, high = said if isinstance(said, list) and len(said) == 2 else (None, None)
    return _bound(low, -math.inf), _bound(high, math.inf)


def _bound(said: object, none: float) -> float:
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    return float(said) if is_number else none  # type: ignore[arg-type]


def _shown(said: object) -> str:
    text = ascii(said)
    return text if len(text) <= 80 else f"{text[:80]}…"
