"""Human-preference reward models for generated pictures: annotate, train, score, filter, rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beholder.eval.measuring import measure as measure
    from beholder.rewards import Reward as Reward
    from beholder.rewards import RewardCard as RewardCard
    from beholder.rewards import load as load
    from beholder.rewards import names as names
    from beholder.rewards.scoring import score as score
    from beholder.tables import ScoreTable as ScoreTable
    from beholder.types import Comparison as Comparison
    from beholder.types import Edges as Edges
    from beholder.types import Feedback as Feedback
    from beholder.types import Preference as Preference
    from beholder.types import Rating as Rating
    from beholder.types import Scores as Scores
    from beholder.types import WordLabel as WordLabel

__version__ = "0.1.0"

_HOME = {
    "Comparison": "beholder.types",
    "Edges": "beholder.types",
    "Feedback": "beholder.types",
    "Preference": "beholder.types",
    "Rating": "beholder.types",
    "Reward": "beholder.rewards",
    "RewardCard": "beholder.rewards",
    "ScoreTable": "beholder.tables",
    "Scores": "beholder.types",
    "WordLabel": "beholder.types",
    "load": "beholder.rewards",
    "measure": "beholder.eval.measuring",
    "names": "beholder.rewards",
    "score": "beholder.rewards.scoring",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
