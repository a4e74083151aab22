"""Train a reward on preferences: `train_reward(RewardTraining(...))` gives a run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from beholder.annotation.records.dataset import read_preferences
from beholder.errors import ConfigError
from beholder.rewards import Reward
from beholder.training.data import divide, pictures_of
from beholder.training.features import PictureFeatures, TextFeatures
from beholder.training.learner import require
from beholder.training.loop import autocast, chosen_precision, fit
from beholder.training.pictures import Survey, unreadable
from beholder.training.preference import preference_task
from beholder.training.processes import Processes
from beholder.training.run import RunConfig, note_inputs, own_folder, save, tell_dropped, trainee
from beholder.training.run_folder import suggestion
from beholder.training.scorers import FeatureScorer, PixelScorer, Scorer
from beholder.types import Preference

_PLACES = ("run", "feature_cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTraining(RunConfig):
    """How a reward is trained on preferences; what `RunConfig` asks, and these.

    Attributes:
        preferences: folder that `annotation.dataset.write_preferences` wrote; so is `evaluation`.
        aspect_weights: aspect -> weight of an answer to it; 1 where not given, 0 leaves it out.
        pairs_per_batch: pairs in one batch of one process.
        cache_features: keep what frozen towers give instead of computing it each time.
        feature_cache: folder for it, which several runs may share; "" is inside the run folder.
    """

    preferences: str = "preferences"
    aspect_weights: Mapping[str, float] = field(default_factory=dict)
    pairs_per_batch: int = 32
    cache_features: bool = True
    feature_cache: str = ""

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        require("pairs_per_batch", self.pairs_per_batch, above=0)
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
    with own_folder(asdict(config), processes, _PLACES) as folder:
        _train(config, preferences, evaluation, processes)
    return folder


def _train(
    config: RewardTraining,
    preferences: Sequence[Preference],
    evaluation: Sequence[Preference] | None,
    processes: Processes,
) -> None:
    folder = Path(config.run)
    reward, start, towers = trainee(config)
    if processes.is_main:
        hashes = {"preferences": _hash(preferences), "evaluation": _hash(evaluation or ())}
        note_inputs(folder, {"weights": start, **hashes})
    weights = aspect_weights(reward, config.aspect_weights)
    scorer, faults = _scorer(
        config, reward.to(processes.device), towers, [*preferences, *(evaluation or ())], processes
    )
    share, seed = config.held_out_share, config.fit.seed
    sides = divide(preferences, evaluation, list(weights), faults, share=share, seed=seed)
    if processes.is_main:
        tell_dropped(folder, sides.dropped, "pairs")
    task = preference_task(scorer, sides, weights, config.pairs_per_batch, seed)
    progress = fit(task, reward, config.fit, folder, processes)
    if processes.is_main:
        save(config, reward, progress, sides, "pairs")
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


def _hash(preferences: Sequence[Preference]) -> str:
    rows = [asdict(preference) for preference in preferences]
    return sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
