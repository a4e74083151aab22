"""What takes the place of gigabytes while pages run: small random models under published names.

Pages name published rewards and pipelines. Here, and in every process that a page starts (see
`site/sitecustomize.py`), these names give models of the same classes, of small sizes.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

VARIABLE = "BEHOLDER_PAGES_STAND_IN"
"""Names the stand-ins for the processes that a page starts."""

REWARDS = "aesthetic blipscore clipscore cyclereward hps hpsv3 imagereward mps pickscore siglip"
PUBLISHED = {*REWARDS.split(), "vqascore"}


@dataclass(frozen=True)
class Change:
    """A function of a module, or of a class in it, that another one takes the place of."""

    module: str
    name: str
    replacement: Callable[[Any], Any]

    def holder(self, module: ModuleType) -> tuple[Any, str]:
        """What holds the function, and its name there."""
        *classes, name = self.name.split(".")
        return (getattr(module, classes[0]) if classes else module), name

    def put(self, module: ModuleType) -> None:
        """Change the module for as long as the process lives."""
        holder, name = self.holder(module)
        setattr(holder, name, self.replacement(getattr(holder, name)))


def rewards(real: Callable[[str, dict[str, object]], object]) -> object:
    """Of `beholder.load`: a small model where weights would be fetched, or are of a small model."""

    def build(name: str, options: dict[str, object]) -> object:
        is_fetched = name in PUBLISHED and "config" not in options
        if is_fetched or "pretrained" in str(options.get("towers")):
            return small_reward(name, options)
        return real(name, options)

    return build


def small_reward(name: str, options: dict[str, Any]) -> object:
    """A small random reward of the class that `name` is; the same weights each time."""
    options = {key: value for key, value in options.items() if key not in {"towers", "config"}}
    if name != "mps":
        return importlib.import_module(f"tests.rewards.tinies.{name}").tiny(**options)
    import torch

    import beholder
    from tests.rewards import tiny_towers

    torch.manual_seed(0)
    return beholder.load("mps", config=tiny_towers.CONFIG, **options)


def pipelines(real: Callable[..., object]) -> object:
    """Of the verbs: a small random pipeline for each of the hub."""

    def found(name: str, options: dict[str, Any], dtype: object) -> object:
        return _pipeline() if _is_fetched(name) else real(name, options, dtype)

    return found


def from_pretrained(real: Any) -> object:
    """`DiffusionPipeline.from_pretrained`: the same."""

    def load(cls: type[object], name: str, /, **options: object) -> object:
        return _pipeline() if _is_fetched(name) else real.__func__(cls, name, **options)

    return classmethod(load)


def _is_fetched(name: str) -> bool:
    return name.count("/") == 1 and not Path(name).exists()


def _pipeline() -> Any:
    return importlib.import_module("tests.training.tiny_pipelines").tiny("sd")


CHANGES = {
    "published": [Change("beholder.rewards", "_build", rewards)],
    "pipeline": [
        Change("beholder.training._pipeline.loading", "_found", pipelines),
        Change(
            "diffusers.pipelines.pipeline_utils",
            "DiffusionPipeline.from_pretrained",
            from_pretrained,
        ),
    ],
}
"""By the name of the world that asks for them."""


def wanted() -> dict[str, Change]:
    """Module -> change, for the stand-ins that the environment names."""
    names = os.environ.get(VARIABLE, "").split()
    return {change.module: change for name in names for change in CHANGES[name]}
