"""What a server says of the rewards that it serves."""

from __future__ import annotations

import math
from collections.abc import Mapping

from beholder.images import Alpha
from beholder.rewards import Reward
from beholder.rewards._remote.fittings import described
from beholder.rewards.scoring import configuration
from beholder.serving.items import Detail, RewardInfo


def info_of(name: str, reward: Reward, alpha: Alpha, details: tuple[Detail, ...]) -> RewardInfo:
    """What a client must know of a reward served as `name`; hashes its weights.

    `details` is what it can tell beside total and aspects, see `warming`.
    """
    card = reward.card
    low, high = card.score_range
    return RewardInfo(
        name=name,
        reward=card.name,
        identity={key: _plain(value) for key, value in configuration(reward, alpha).items()},
        dtype=_dtype(reward),
        measures=card.measures,
        weights_license=card.weights_license,
        score_range=(_bound(low), _bound(high)),
        aspects=card.aspects,
        details=details,
        needs_prompt=card.needs_prompt,
        fitting=described(reward.fitting),
    )


def _bound(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _dtype(reward: Reward) -> str:
    """The types of its weights, such as "bfloat16, float32"; "none" without any."""
    floats = {t.dtype for t in reward.state_dict().values() if t.is_floating_point()}
    return ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in floats)) or "none"


def _plain(value: object) -> object:
    """As JSON takes it: an option such as infinity, which it has no number for, as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    is_plain = value is None or isinstance(value, str | int)
    is_number = isinstance(value, float) and math.isfinite(value)
    return value if is_plain or is_number else str(value)
