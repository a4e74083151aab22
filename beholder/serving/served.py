"""Which of the served rewards an address means."""

from __future__ import annotations

from beholder.serving.items import Backend, RewardInfo
from beholder.serving.refusals import NotReadyError, RefusalError

_RETRY_SECONDS = 1.0


class UnknownRewardError(RefusalError):
    """An address that names a reward which is not served."""

    status, code = 404, "unknown-reward"


def served(backend: Backend, name: str | None) -> RewardInfo:
    """The reward of this name; the default one for None.

    Raises:
        UnknownRewardError: if there is none.
        NotReadyError: if no reward is loaded yet.
    """
    rewards = backend.rewards
    if not rewards:
        raise NotReadyError(backend.unready or "loading", retry_after=_RETRY_SECONDS)
    if name is None:
        return next(iter(rewards.values()))
    if name not in rewards:
        raise UnknownRewardError(f"no reward of that name here; served: {', '.join(rewards)}")
    return rewards[name]


def check_ready(backend: Backend) -> None:
    """Raise NotReadyError while nothing can be scored."""
    if backend.unready:
        raise NotReadyError(backend.unready, retry_after=_RETRY_SECONDS)
