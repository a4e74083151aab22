"""Published files of weights as folders that `beholder.load` reads, every key accounted for."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from beholder._published.weights import OwnName, read_state
from beholder.errors import ConfigError, WeightsError
from beholder.rewards import load, names
from beholder.rewards._base import Reward
from beholder.rewards._weights import CONFIG

REPORT = "conversion.json"


@dataclass(frozen=True, slots=True)
class Key:
    """What became of one key of the file.

    Attributes:
        key, shape, dtype: as in the file.
        name: this package's name; None if no part of the reward needs it.
        fate: "kept" bit by bit, "cast" to another type, or "not needed".
    """

    key: str
    shape: tuple[int, ...]
    dtype: str
    name: str | None
    fate: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """What `convert` did.

    Attributes:
        reward: the name of the reward.
        folder: where it lies now.
        keys: every key of the file, in its order.
        own: names of the reward that the file does not hold, such as computed tables.
    """

    reward: str
    folder: str
    keys: tuple[Key, ...]
    own: tuple[str, ...]

    @property
    def fates(self) -> dict[str, int]:
        """Fate -> number of keys."""
        return dict(Counter(key.fate for key in self.keys))

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return {**asdict(self), "fates": self.fates}


def convert(
    path: str | Path, folder: str | Path, reward: str = "", **options: object
) -> Conversion:
    """Read a published file without executing it and save it as a reward folder.

    Args:
        path: a torch or safetensors file in the published format.
        folder: where `config.json`, `model.safetensors` and `conversion.json` go.
        reward: one of `beholder.names()`; "" asks the keys which reward's file this is.
        options: of `beholder.load`, such as `version` or `config`.

    Raises:
        ConfigError: if the reward is unknown or has no published format, or an option is wrong.
        WeightsError: if no reward or several know the file, or it is damaged or does not fit.
    """
    if "weights" in options:
        raise ConfigError("weights is no option of a conversion: they are the file's")
    state = read_state(path)
    name = reward or _recognised(state, Path(path))
    own_name = _published(name, "own_name")
    built = load(name, **cast("Any", {**options, "weights": path}))
    own = built.state_dict()
    keys = tuple(_fate(key, value, own_name(key), own) for key, value in state.items())
    unheld = sorted(set(own) - {key.name for key in keys if key.name is not None})
    done = Conversion(name, str(folder), keys, tuple(unheld))
    _save(built, done, Path(folder))
    return done


def recognising(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the rewards whose published files have such keys."""
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    modules = {name: importlib.import_module(f"beholder.rewards.{name}") for name in names()}
    return [name for name, m in modules.items() if getattr(m, "recognises", _never)(shapes)]


def _never(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return False


def _recognised(state: Mapping[str, Tensor], path: Path) -> str:
    known = recognising(state)
    if len(known) == 1:
        return known[0]
    first = ", ".join(list(state)[:4])
    said = f"it could be {' or '.join(known)}" if known else "no reward's published file has them"
    raise WeightsError(f"{path} holds {len(state)} tensors ({first}, …): {said}; name its --reward")


def _published(name: str, function: str) -> OwnName:
    if name not in names():
        raise ConfigError(f"no reward named {name!r}; known: {', '.join(names())}")
    module = importlib.import_module(f"beholder.rewards.{name}")
    if not hasattr(module, function):
        raise ConfigError(f"{name} has no published file of weights to convert")
    return cast("Callable[[str], str | None]", getattr(module, function))


def _fate(key: str, value: Tensor, name: str | None, own: Mapping[str, Tensor]) -> Key:
    shape, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
    if name is None:
        return Key(key, shape, dtype, None, "not needed")
    mine = own[name].cpu()
    if not torch.equal(mine, value.to(mine.dtype)):
        raise WeightsError(f"{key} did not arrive in {name} unchanged; please report this file")
    return Key(key, shape, dtype, name, "kept" if mine.dtype == value.dtype else "cast")


def _save(reward: Reward, done: Conversion, folder: Path) -> None:
    cut_short = (folder / REPORT).is_file() and not (folder / CONFIG).is_file()
    if folder.exists() and any(folder.iterdir()) and not cut_short:
        raise ConfigError(f"{folder} is not empty; name a new folder")
    text = json.dumps(done.as_dict(), indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPORT).write_text(f"{text}\n", encoding="utf-8")  # first: it marks the folder
    except OSError as error:
        raise WeightsError(f"cannot save the reward to {folder}: {error}") from error
    reward.save_pretrained(folder)
