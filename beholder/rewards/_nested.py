"""Rewards inside a reward: built from what a user writes, rebuilt from what a folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from beholder.errors import ConfigError
from beholder.rewards import load, names, reward_class
from beholder.rewards._base import Reward, saved_name

Spec = str | Mapping[str, object] | Reward
"""What `load` accepts as a name; {reward: name, **options of load}; or a reward, which is taken."""


def built(spec: Spec, where: str) -> Reward:
    """The reward that is meant; `where` names the place in errors.

    Raises ConfigError if the name or an option is unknown, WeightsError if weights do not fit.
    """
    if isinstance(spec, Reward):
        return spec
    options = {"reward": spec} if isinstance(spec, str) else dict(spec)
    name = options.pop("reward", None)
    if not isinstance(name, str) or not name:
        raise ConfigError(
            f"{where} needs a reward, such as 'mps' or {{reward: mps, …}}; got {spec!r}"
        )
    return load(name, **cast("Any", options))


def described(reward: Reward) -> dict[str, object]:
    """JSON-ready name and options from which `rebuilt` makes the same architecture."""
    return {"reward": saved_name(reward), "options": reward.options()}


def rebuilt(saved: object, where: str) -> Reward:
    """The architecture that `described` wrote, random weights; a built reward is taken as it is.

    Raises ConfigError if it is none of `names()`: a folder never chooses code to import.
    """
    if isinstance(saved, Reward):
        return saved
    if not isinstance(saved, Mapping) or set(saved) != {"reward", "options"}:
        raise ConfigError(f"{where} must be a saved reward with its options, got {saved!r}")
    if saved["reward"] not in names():
        raise ConfigError(
            f"{where} is a {saved['reward']}, and a folder does not choose code to import; "
            "build it and give it to from_pretrained in its place"
        )
    return reward_class(saved["reward"]).from_options(saved["options"])
