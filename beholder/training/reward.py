"""Train a reward on judgements: `train_reward(RewardTraining(...))` gives a run folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from beholder.annotation.records.dataset import read_preferences
from beholder.errors import ConfigError
from beholder.rewards import Reward
from beholder.rewards._model_card_origin import NEW_WEIGHTS
from beholder.training.fit.learner import FitConfig, require
from beholder.training.fit.loop import autocast, chosen_precision, fit
from beholder.training.fit.processes import Processes
from beholder.training.fit.resuming import going_on
from beholder.training.judged.lessons import Lessons, Plan
from beholder.training.judged.mixing import Balance, Source, check_sources
from beholder.training.judged.preference import Mix, PairLessons
from beholder.training.judged.prompts import PromptWeights
from beholder.training.judged.rated import Rated, read_rated
from beholder.training.judged.rating import RatingLessons
from beholder.training.judged.splits import Leaks
from beholder.training.objectives import LossConfig, build_objective
from beholder.training.run import (
    RunConfig,
    note_inputs,
    own_folder,
    rate_of,
    save,
    tell_dropped,
    trainee,
)
from beholder.training.run_folder import suggestion
from beholder.training.towers.feature_parts import Stored
from beholder.training.towers.features import PictureFeatures, TextFeatures
from beholder.training.towers.freezing import FeatureReward
from beholder.training.towers.pictures import Survey, unreadable
from beholder.training.towers.scorers import FeatureScorer, PixelScorer, Scorer
from beholder.types import Preference

_LOG = logging.getLogger(__name__)
_PLACES = ("run", "feature_cache")
_PREFERENCES = "preferences"
Judgements = Sequence[Preference] | Sequence[Rated] | Mapping[str, Sequence[Preference]]
"""Pairs, ratings where the configuration learns these, or with `mix` pairs by the set's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTraining(RunConfig):
    """How a reward is trained on judgements; what `RunConfig` asks, and these.

    Attributes:
        preferences: folder that `annotation.dataset.write_preferences` wrote; so is `evaluation`.
        mix: in place of it several such folders by a name of theirs, each with its share.
        balance: how much is seen of sets without a share: "size", as they have pairs, or "equal".
        ratings: in place of pairs, numbers of single pictures: a folder of feedback, or a manifest
            (.csv, .tsv, .jsonl, .parquet) with a picture, its prompt if it has one, and a column
            named as each aspect, on any scale; so is `evaluation`. Needs loss.name=regression.
        loss: what is learned; see `LossConfig`. Those that learn rankings find them in pairs that
            share their key and prompt, and take an answer for certain however unsure people were.
        aspect_weights: aspect -> weight of an answer to it; 1 where not given, 0 leaves it out.
        prompt_weights: "none" counts each judgement once, "inverse" each prompt.
        leaks: "refuse", "drop" or "allow" judgements to learn from whose prompt, in any case and
            spacing, or picture stands among those to judge by.
        pairs_per_batch: pairs, or ratings, in one batch of one process.
        epochs: passes over what is learned from, in place of `fit.steps`; 0 leaves it to these.
            With `mix` a pass has as many pairs as all sets together, each set's share of them.
        cache_features: keep what frozen towers give instead of computing it each time.
        feature_cache: folder for it, which several runs may share; "" is inside the run folder.
        feature_dtype: how it is kept; "fp32" to the bit, "fp16" in half the space.
    """

    preferences: str = _PREFERENCES
    mix: Mapping[str, Source] = field(default_factory=dict)
    balance: Balance = "size"
    ratings: str = ""
    loss: LossConfig = field(default_factory=LossConfig)
    aspect_weights: Mapping[str, float] = field(default_factory=dict)
    prompt_weights: PromptWeights = "none"
    leaks: Leaks = "refuse"
    pairs_per_batch: int = 32
    epochs: float = 0.0
    cache_features: bool = True
    feature_cache: str = ""
    feature_dtype: Stored = "fp16"

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        require("pairs_per_batch", self.pairs_per_batch, above=0)
        require("epochs", self.epochs, least=0)
        for aspect, weight in self.aspect_weights.items():
            require(f"aspect_weights.{aspect}", weight, least=0)
        check_sources(self.mix, self.balance)
        self._refuse_two_sources()
        if self.epochs and self.fit.steps != FitConfig().steps:
            raise ConfigError(
                f"epochs is {self.epochs:g} and fit.steps {self.fit.steps}; give one of them"
            )
        is_kept = self.cache_features and self.train == "head"
        if not is_kept and (self.feature_cache or self.feature_dtype != "fp16"):
            raise ConfigError(
                "feature_cache and feature_dtype are of the features of frozen towers, which are "
                "kept with train=head and cache_features=true; leave them out"
            )

    def _refuse_two_sources(self) -> None:
        given = {
            "preferences": self.preferences != _PREFERENCES,
            "mix": bool(self.mix),
            "ratings": bool(self.ratings),
        }
        if sum(given.values()) > 1:
            named = " and ".join(name for name, is_given in given.items() if is_given)
            raise ConfigError(
                f"{named} are set, here or in the preset, but a reward learns from one of them; "
                "choose a preset for what you have, or set the other to '' or {}"
            )
        if (self.loss.name == "regression") != bool(self.ratings):
            raise ConfigError(
                f"loss.name is {self.loss.name!r} and ratings is {self.ratings!r}; ratings are "
                "learned by the loss regression, and pairs by any other"
            )


def train_reward(
    config: RewardTraining,
    judgements: Judgements | None = None,
    evaluation: Sequence[Preference] | Sequence[Rated] | None = None,
) -> Path:
    """Train a reward and give its run folder, which `beholder.load` reads as the trained reward.

    The folder holds config.yaml, inputs.yaml (hashes), versions.json, metrics.jsonl, tensorboard/,
    checkpoints/, dropped.json (judgements that could not be used, each with its reason),
    summary.json, and config.json with model.safetensors: the best weights. A run that was
    interrupted goes on when it is started again with the same configuration.

    Args:
        config: how.
        judgements: in place of what `config` names: pairs; with `mix` pairs by the name of their
            set; with `ratings` ratings.
        evaluation: the same, pairs or ratings, for those to judge by.

    Raises:
        ConfigError: if the folder holds another run, or the reward cannot train as asked.
        DataError: if no judgement is left to learn from, some leak, or the pictures change
            meanwhile.
    """
    if judgements is None:
        judgements = read_judgements(config)
    if evaluation is None and config.evaluation:
        read = read_rated if config.ratings else read_preferences
        evaluation = read(Path(config.evaluation))
    processes = Processes(cpu=config.device == "cpu")
    with own_folder(asdict(config), processes, _PLACES) as folder:
        _train(config, folder, judgements, evaluation, processes)
    return folder


def read_judgements(config: RewardTraining) -> Judgements:
    """What a configuration names to learn from; DataError if a folder or file is not such."""
    if config.ratings:
        return read_rated(config.ratings)
    if config.mix:
        return {name: read_preferences(Path(s.preferences)) for name, s in config.mix.items()}
    return read_preferences(Path(config.preferences))


def _train(
    config: RewardTraining,
    folder: Path,
    judgements: Judgements,
    evaluation: Sequence[Preference] | Sequence[Rated] | None,
    processes: Processes,
) -> None:
    reward, start, towers = trainee(config)
    lessons = _lessons(config, reward, judgements, evaluation)
    if processes.is_main:
        note_inputs(folder, {"weights": start, **lessons.hashes()})
    weights = aspect_weights(reward, config.aspect_weights)
    reward.to(processes.device)
    objective = build_objective(config.loss, reward)
    scorer, faults = _scorer(config, reward, towers, lessons, processes)
    sides = lessons.sides(list(weights), faults, objective)
    if processes.is_main:
        tell_dropped(folder, sides.dropped, lessons.what)
    course = lessons.task(scorer, objective, sides, weights, processes)
    task, batches = course.task, course.batches_per_epoch
    plan = fit_plan(config, folder, batches, processes.count)
    progress = fit(task, reward, plan, folder, processes, rate_of(config, reward))
    if processes.is_main:
        findings = task.diagnosis.findings if task.diagnosis else ()
        save(config, reward, progress, sides, lessons.what, findings, processes.count)
    processes.wait()


def fit_plan(config: RewardTraining, folder: Path, batches: int, processes: int) -> FitConfig:
    """How to fit, with the steps that `epochs` of so many batches come to.

    Raises ConfigError if the warmup would not end within them; where steps are given themselves,
    the log tells it.
    """
    if not config.epochs:
        _tell_short(config.fit)
        return config.fit
    # those of a run that began on another number of processes
    accumulation = going_on(folder, config.fit, processes).accumulation
    steps = max(1, round(config.epochs * batches / (accumulation * processes)))
    if config.fit.warmup_steps > steps:
        raise ConfigError(
            f"epochs={config.epochs:g} come to {steps} steps, but fit.warmup_steps is "
            f"{config.fit.warmup_steps}, so the learning rate would never be reached; give fewer "
            "fit.warmup_steps or more epochs"
        )
    return replace(config.fit, steps=steps)


def _tell_short(fit: FitConfig) -> None:
    if fit.warmup_steps > fit.steps:
        _LOG.warning(
            "fit.steps is %d and fit.warmup_steps %d, so the rate gets no higher than %.3g; give "
            "fewer fit.warmup_steps",
            fit.steps,
            fit.warmup_steps,
            fit.learning_rate * fit.steps / fit.warmup_steps,
        )


def _lessons(
    config: RewardTraining,
    reward: Reward,
    judgements: Judgements,
    evaluation: Sequence[Preference] | Sequence[Rated] | None,
) -> Lessons[Any]:
    plan = Plan(
        batch=config.pairs_per_batch,
        seed=config.fit.seed,
        held_out_share=config.held_out_share,
        leaks=config.leaks,
        prompt_weights=config.prompt_weights,
        to_trained=begins_trained(config, reward),
    )
    if config.ratings:
        rated = cast("Sequence[Rated]", judgements)
        others = cast("Sequence[Rated] | None", evaluation)
        return RatingLessons(rated, others, plan, needs_prompt=reward.card.needs_prompt)
    sets = judgements if isinstance(judgements, Mapping) else {"": judgements}
    if config.mix and sets.keys() != config.mix.keys():
        raise ConfigError(
            f"mix names {', '.join(config.mix)}, but pairs were given of {', '.join(sets)}"
        )
    return PairLessons(
        cast("Mapping[str, Sequence[Preference]]", sets),
        cast("Sequence[Preference] | None", evaluation),
        plan,
        Mix(sources=config.mix, balance=config.balance) if config.mix else None,
    )


def begins_trained(config: RewardTraining, reward: Reward) -> bool:
    """Whether a reward's weights were taught judgements before this run."""
    if "weights" in config.options or "/" in config.reward or Path(config.reward).is_dir():
        return True
    given = {name for name, value in config.options.items() if value is not None}
    return bool(reward.card.weights) and not given & set(NEW_WEIGHTS)


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
    lessons: Lessons[Any],
    processes: Processes,
) -> tuple[Scorer[Any], Survey]:
    """How batches are scored, and which pictures cannot be read."""
    share, pictures = (processes.rank, processes.count), lessons.pictures()
    if not (towers and config.cache_features and isinstance(reward, FeatureReward)):
        return PixelScorer(reward), processes.union(unreadable(pictures, *share))
    precision = chosen_precision(config.fit.precision, processes.device)
    compute = partial(autocast, precision, processes.device)
    folder = Path(config.feature_cache or Path(config.run) / "features")
    reward.eval()
    kept = PictureFeatures(reward, folder, towers, compute, precision, config.feature_dtype)
    texts = TextFeatures(reward, compute, folder, precision, config.feature_dtype)
    texts.survey(lessons.prompts(), *share)
    # every process waits here until the others' texts are kept too
    faults = processes.union(kept.survey(pictures, *share, processes.union))
    return FeatureScorer(reward, kept, texts), faults
