"""Which model it is that answers: a run must not mix the numbers of two."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

HEADER = "X-Reward-Identity"
"""Of an answer: "mps=DIGEST, hps=DIGEST", each reward that was asked and what answered for it."""

CHANGED = "changed"
"""In place of a digest: the weights were loaded anew while the answer was made; ask again."""

_SAID = re.compile(rf"\s*([\w.-]+)=([0-9a-f]{{64}}|{CHANGED})\s*")
_HASH = re.compile("[0-9a-f]{64}")
_KEY = re.compile(r"[\w.-]{1,40}", re.ASCII)  # others are no part of a message
_SHOWN, _LONG = 12, 40  # characters
_MOST = 8  # differences that are told
_SETTLED = {"alpha"}  # by a client, which sends pictures without transparency


def digest_of(identity: Mapping[str, object]) -> str:
    """SHA-256 of what decides a reward's numbers, the same on both sides of the wire.

    Args:
        identity: JSON-ready, as `scoring.configuration` gives it.
    """
    return hashlib.sha256(canonical(identity).encode()).hexdigest()


def canonical(identity: Mapping[str, object]) -> str:
    """The one JSON text of an identity; how transparent pictures are shown is not part of it."""
    known = {key: value for key, value in identity.items() if key not in _SETTLED}
    plain = json.loads(json.dumps(known))  # so that keys are sorted as text, not as what they were
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def difference(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """What differs between two identities, shortly; "" if nothing that decides the numbers does.

    >>> difference({"reward": "mps", "weights": "12ab"}, {"reward": "mps", "weights": "98cd"})
    'weights 12ab then, 98cd now'
    """
    keys = [key for key in {**before, **now} if key not in _SETTLED and _KEY.fullmatch(str(key))]
    pairs = [(key, _short(before.get(key)), _short(now.get(key))) for key in keys[:_MOST]]
    return "; ".join(f"{key} {one} then, {two} now" for key, one, two in pairs if one != two)


def _short(value: object) -> str:
    """A version as it is, of a hash its first digits, of anything longer the same of its hash."""
    text = value if isinstance(value, str) and value.isprintable() else canonical({"": value})[4:-1]
    if _HASH.fullmatch(text):
        return text[:_SHOWN]
    return text if len(text) <= _LONG else hashlib.sha256(text.encode()).hexdigest()[:_SHOWN]


def digests_in(header: str | None) -> dict[str, str]:
    """Reward -> digest, or `CHANGED`, as an answer's header says; empty if it says anything else.

    >>> digests_in("mps=changed")
    {'mps': 'changed'}
    """
    found = [_SAID.fullmatch(part) for part in (header or "").split(",")]
    if not all(found):
        return {}
    return {match[1]: match[2] for match in found if match is not None}
