"""Rewards: one file each. The folder is the registry: `load("mps")` imports `rewards/mps.py`."""

from __future__ import annotations

import difflib
import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from beholder._published.repository import may_be_repository
from beholder.errors import ConfigError
from beholder.rewards._base import Reward as Reward
from beholder.rewards._base import RewardCard as RewardCard
from beholder.rewards._precision import checked_device

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)
_PLACE = re.compile(r"([\w.-]+|\[[0-9a-f:.]+\]):\d{1,5}(/[\w./~-]*)?", re.ASCII | re.IGNORECASE)
_NOT_REWARDS = {"scoring", "serving", "sharded"}


def names() -> list[str]:
    """Names that `load` accepts: the public modules of this folder."""
    found = (m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    return sorted(set(found) - _NOT_REWARDS)


def reward_class(name: str) -> type[Reward]:
    """The class of the reward called `name`; its `card` needs no weights.

    Raises ConfigError if there is no such reward.
    """
    if name not in names():
        raise ConfigError(f"no reward named {name!r}; {_hint(name)}")
    module = importlib.import_module(f"{__name__}.{name}")
    kinds = [k for k in vars(module).values() if inspect.isclass(k) and issubclass(k, Reward)]
    (found,) = (k for k in kinds if k.__module__ == module.__name__ and k.card.name == name)
    return found


def load(
    name: str,
    *,
    weights: str | Path | Mapping[str, float] | None = None,
    config: Mapping[str, object] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    calibration: str | Path | None = None,
    **options: object,
) -> Reward:
    """The reward called `name`, in eval mode.

    Args:
        name: one of `names()`; a folder written by `save_pretrained`; a hub repository "user/repo"
            that holds such a folder; one of your own as "module:Class"; or one that a server
            scores with, as "http://host:8000/mps".
        weights: a local file in the reward's published format; None takes the published weights.
            Of an ensemble: member -> how much it counts.
        config: overrides the sizes of the architecture; without `weights` the model is random.
        device: where the reward goes; None leaves it on the CPU.
        dtype: what its floating-point weights are cast to; None keeps them. The parts that decide
            the last digits of a score, `Reward.float32`, are not cast to half precision. A server
            keeps its own.
        calibration: a file that `beholder calibrate` wrote for this reward in this precision; None
            takes the one in the reward's folder, if there is one and it fits.
        options: what the reward's own `build` accepts, such as `threshold` of MPS; of a server
            `token_file`, `timeout` and more, see `RemoteReward`.

    Raises:
        ConfigError: if the name or an option is unknown.
        WeightsError: if the weights are missing or do not fit, or the calibration is another's.
        ServerError: if a server does not answer.
    """
    given = {"weights": weights, "config": config}
    options |= {key: value for key, value in given.items() if value is not None}
    where = None if device is None else checked_device(device)
    reward = _build(name, options).cast(dtype)
    if dtype is not None and _is_address(name):
        _LOG.warning("dtype=%s is left out: the server of %s keeps its own", dtype, name)
    if calibration is not None or reward.folder is not None:
        from beholder.rewards import _calibration  # noqa: PLC0415  (it imports this module)

        reward.calibration = (
            _calibration.folder_calibration(reward)
            if calibration is None
            else _calibration.calibration_for(reward, calibration)
        )
    return reward.to(device=where).eval()


def _build(name: str, options: dict[str, object]) -> Reward:
    if _is_address(name):
        from beholder.rewards._remote import reward as remote  # noqa: PLC0415  (it imports `Reward`)

        return _call(partial(remote.build, name), name, options)
    if ":" in name and not Path(name).exists():
        return _own(name, options)
    if name in names():
        return _call(importlib.import_module(f"{__name__}.{name}").build, name, options)
    is_folder = (Path(name) / "config.json").is_file()
    if is_folder or may_be_repository(name):
        from beholder.rewards._weights import load_folder  # noqa: PLC0415  (it imports this module)

        return load_folder(Reward, name, options)  # type: ignore[type-abstract]
    raise ConfigError(f"no reward named {name!r}, nor a reward folder there; {_hint(name)}")


def _is_address(name: str) -> bool:
    return name.lower().startswith(("http://", "https://"))


def _hint(name: str) -> str:
    close = difflib.get_close_matches(name, names(), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names())}"


def _own(name: str, options: dict[str, object]) -> Reward:
    if _PLACE.fullmatch(name):  # no class is called by a number
        raise ConfigError(f"no reward named {name!r}; did you mean http://{name}?")
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot load {name!r}: {error}; write it as module:Class") from error
    return _call(factory, name, options)


def _call(factory: Callable[..., object], name: str, options: dict[str, object]) -> Reward:
    try:
        reward = factory(**options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        wrong = str(error).rpartition("argument ")[2]
        known = ", ".join(p for p in inspect.signature(factory).parameters if p != "options")
        others = f"it knows {known}" if known else "it has none"
        raise ConfigError(f"reward {name!r} has no option {wrong}; {others}") from error
    if not isinstance(reward, Reward):
        raise ConfigError(f"{name!r} gave a {type(reward).__name__}, expected a beholder Reward")
    return reward
