"""Train a reward on preferences: `train_reward(RewardTraining(...))` gives a run folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch

from beholder.annotation.records.dataset import read_preferences
from beholder.errors import ConfigError
from beholder.rewards import Reward, load
from beholder.training.data import Sides, counts, divide, pictures_of
from beholder.training.features import PictureFeatures, TextFeatures, weights_hash
from beholder.training.freezing import (
    Trains,
    are_towers_frozen,
    freeze,
    merge_lora,
    summary,
    tower_weights,
)
from beholder.training.learner import FitConfig, require
from beholder.training.loop import Progress, autocast, chosen_precision, fit
from beholder.training.pictures import Survey, unreadable
from beholder.training.preference import preference_task
from beholder.training.processes import Processes
from beholder.training.run_folder import claim, sole_user, suggestion, write_json, write_versions
from beholder.training.scorers import FeatureScorer, PixelScorer, Scorer
from beholder.types import Preference

_LOG = logging.getLogger(__name__)
_PLACES = ("run", "feature_cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTraining:
    """How a reward is trained.

    Attributes:
        preferences: folder that `annotation.dataset.write_preferences` wrote.
        evaluation: another such folder, which decides when to stop and which weights are best; ""
            holds prompts of `preferences` out instead.
        run: folder for everything that comes out.
        reward: what `beholder.load` takes: a name, folder, hub repository or "module:Class".
        options: further arguments of `beholder.load`, such as `weights`, `config` or `mask`.
        train: "head", "last_blocks", "lora" or "all".
        last_blocks: blocks of each tower that train with "last_blocks".
        lora_rank: of the updates that train with "lora".
        aspect_weights: aspect -> weight of an answer to it; 1 where not given, 0 leaves it out.
        pairs_per_batch: pairs in one batch of one process.
        held_out_share: share of the prompts held out; 0 trains without evaluation.
        cache_features: keep what frozen towers give instead of computing it each time.
        feature_cache: folder for it, which several runs may share; "" is inside the run folder.
        device: "auto" is the GPU if there is one.
        fit: steps, rates, precision, checkpoints; `fit.seed` also orders the pairs, chooses the
            prompts held out and draws random weights.
    """

    preferences: str = "preferences"
    evaluation: str = ""
    run: str = "runs/reward"
    reward: str = "mps"
    options: Mapping[str, Any] = field(default_factory=dict)
    train: Trains = "head"
    last_blocks: int = 4
    lora_rank: int = 16
    aspect_weights: Mapping[str, float] = field(default_factory=dict)
    pairs_per_batch: int = 32
    held_out_share: float = 0.1
    cache_features: bool = True
    feature_cache: str = ""
    device: Literal["auto", "cpu"] = "auto"
    fit: FitConfig = field(default_factory=FitConfig)

    def __post_init__(self) -> None:
        for name in ("last_blocks", "lora_rank", "pairs_per_batch"):
            require(name, getattr(self, name), above=0)
        require("held_out_share", self.held_out_share, least=0, below=1)
        for aspect, weight in self.aspect_weights.items():
            require(f"aspect_weights.{aspect}", weight, least=0)


def train_reward(
    config: RewardTraining,
    preferences: Sequence[Preference] | None = None,
    evaluation: Sequence[Preference] | None = None,
) -> Path:
    """Train a reward and give its run folder, which `beholder.load` reads as the trained reward.

    The folder holds config.yaml, inputs.yaml (hashes), versions.json, metrics.jsonl, tensorboard/,
    checkpoints/, dropped.json (pairs that could not be used, each with its reason), summary.json,
    and config.json with model.safetensors: the best weights. A run that was interrupted goes on
    when it is started again with the same configuration.

    Args:
        config: how.
        preferences: pairs in place of the folder in `config`.
        evaluation: the same for those to judge by.

    Raises:
        ConfigError: if the folder holds another run, or the reward cannot train as asked.
        DataError: if no pair is left to learn from, or the pictures change meanwhile.
    """
    if preferences is None:
        preferences = read_preferences(Path(config.preferences))
    if evaluation is None and config.evaluation:
        evaluation = read_preferences(Path(config.evaluation))
    processes = Processes(cpu=config.device == "cpu")
    folder = Path(config.run)
    with ExitStack() as stack:
        if processes.is_main:
            stack.enter_context(sole_user(folder))
            claim(folder, "config.yaml", _given(config))
        processes.wait()
        _train(config, preferences, evaluation, processes)
    return folder


def _train(
    config: RewardTraining,
    preferences: Sequence[Preference],
    evaluation: Sequence[Preference] | None,
    processes: Processes,
) -> None:
    folder = Path(config.run)
    reward, start, towers = _reward(config)
    if processes.is_main:
        hashes = {"preferences": _hash(preferences), "evaluation": _hash(evaluation or ())}
        claim(folder, "inputs.yaml", {"weights": start, **hashes})
        write_versions(folder)
    weights = aspect_weights(reward, config.aspect_weights)
    scorer, faults = _scorer(
        config, reward.to(processes.device), towers, [*preferences, *(evaluation or ())], processes
    )
    share, seed = config.held_out_share, config.fit.seed
    sides = divide(preferences, evaluation, list(weights), faults, share=share, seed=seed)
    if processes.is_main:
        _tell_dropped(folder, sides)
    task = preference_task(scorer, sides, weights, config.pairs_per_batch, seed)
    progress = fit(task, reward, config.fit, folder, processes)
    if processes.is_main:
        if config.train == "lora":
            merge_lora(reward)
        reward.cpu().save_pretrained(folder)
        write_json(folder / "summary.json", _summary(progress, sides))
    processes.wait()


def aspect_weights(reward: Reward, given: Mapping[str, float]) -> dict[str, float]:
    """The weight of an answer to each aspect that the reward scores; those of 0 are left out.

    Raises ConfigError if it scores no such aspect, or none is left.
    """
    known = list(reward.card.aspects or ("overall",))
    for aspect in given:
        if aspect not in known:
            raise ConfigError(
                f"aspect_weights: reward {reward.card.name} does not score {aspect!r}; "
                f"{suggestion(aspect, known)}"
            )
    weights = {aspect: given.get(aspect, 1.0) for aspect in known}
    if not any(weights.values()):
        raise ConfigError("every aspect weighs 0, so there is nothing to learn")
    return {aspect: weight for aspect, weight in weights.items() if weight}


def _reward(config: RewardTraining) -> tuple[Reward, str, set[str]]:
    """The reward with what is to train set free, the hash of its weights, names of its towers."""
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(config.fit.seed)
        reward = load(config.reward, **config.options).float()
        start = weights_hash(reward)
        towers = set().union(*tower_weights(reward)) if are_towers_frozen(config.train) else set()
        blocks, rank = config.last_blocks, config.lora_rank
        names = freeze(reward, config.train, last_blocks=blocks, lora_rank=rank)
    _LOG.info("%s", summary(names, reward))
    return reward, start, towers


def _scorer(
    config: RewardTraining,
    reward: Reward,
    towers: set[str],
    preferences: Sequence[Preference],
    processes: Processes,
) -> tuple[Scorer[Any], Survey]:
    """How batches are scored, and which pictures cannot be read."""
    pictures, share = pictures_of(preferences), (processes.rank, processes.count)
    if not (towers and config.cache_features):
        return PixelScorer(reward), processes.union(unreadable(pictures, *share))
    precision = chosen_precision(config.fit.precision, processes.device)
    compute = partial(autocast, precision, processes.device)
    folder = Path(config.feature_cache or Path(config.run) / "features")
    reward.eval()
    kept = PictureFeatures(reward, folder, towers, compute, precision)
    faults = processes.union(kept.survey(pictures, *share))
    return FeatureScorer(reward, kept, TextFeatures(reward, compute)), faults


def _given(config: RewardTraining) -> dict[str, object]:
    """The configuration without the places of files, which change no weight."""
    return {key: value for key, value in asdict(config).items() if key not in _PLACES}


def _hash(preferences: Sequence[Preference]) -> str:
    rows = [asdict(preference) for preference in preferences]
    return sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def _tell_dropped(folder: Path, sides: Sides) -> None:
    found = counts(sides.dropped)
    rows = [asdict(dropped) for dropped in sides.dropped]
    write_json(folder / "dropped.json", {"counts": found, "rows": rows})
    if found:
        listed = ", ".join(f"{count} {code}" for code, count in found.items())
        _LOG.warning("%d pairs cannot be used (%s); see dropped.json", len(rows), listed)


def _summary(progress: Progress, sides: Sides) -> dict[str, object]:
    return {
        "steps": progress.step,
        "best_step": progress.step if progress.metrics is None else progress.best_step,
        "stopped_early": progress.is_stopped,
        "metrics": dict(progress.metrics or {}),
        "pairs": {"training": len(sides.training), "held_out": len(sides.held_out)},
        "dropped": counts(sides.dropped),
    }
