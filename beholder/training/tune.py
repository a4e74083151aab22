"""Tune a diffusers pipeline with a reward: `tune(config)` gives a run folder with a LoRA."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.rewards import Reward, load
from beholder.training._pipeline.loading import chosen_dtype, load_pipeline
from beholder.training._pipeline.selftest import self_test
from beholder.training._tuning.hub import push_lora, write_card
from beholder.training._tuning.page import write_run_report
from beholder.training._tuning.pretraining import Denoising, denoising_of
from beholder.training._tuning.prompts import divided, prompts_hash, read_prompts
from beholder.training._tuning.scales import settle_scales
from beholder.training._tuning.signal import Signal
from beholder.training._tuning.start import Start
from beholder.training._tuning.validation import (
    Scored,
    Validation,
    find_start,
    metric_sums,
    objective,
)
from beholder.training.algorithms import algorithm_class
from beholder.training.algorithms._base import Algorithm, Studio, TuneConfig
from beholder.training.fit.loop import Logs, Progress, Sums, Task, fit
from beholder.training.fit.processes import Processes
from beholder.training.fit.resuming import going_on
from beholder.training.pipeline import Driver
from beholder.training.run import own_folder
from beholder.training.run_folder import claim, write_json, write_versions

_LOG = logging.getLogger(__name__)
_PLACES = ("run", "push_to")


@dataclass(frozen=True, kw_only=True)
class Given:
    """What stands in for what a configuration names.

    Attributes:
        pipeline: a loaded diffusers pipeline.
        reward, held_out_reward: loaded rewards.
        prompts, validation_prompts: texts.
    """

    pipeline: Any = None
    reward: Reward | None = None
    held_out_reward: Reward | None = None
    prompts: Sequence[str] | None = None
    validation_prompts: Sequence[str] | None = None


def tune(config: TuneConfig, given: Given | None = None) -> Path:
    """Tune a pipeline and give its run folder, which `pipe.load_lora_weights` reads.

    The folder holds config.yaml, inputs.yaml, versions.json, start.json (what the pipeline's own
    pictures score), selftest.json, metrics.jsonl, tensorboard/, samples/ of the validation prompts,
    report.html, checkpoints/, summary.json, and pytorch_lora_weights.safetensors with its model
    card: the best adapters by the held-out reward. A run that was interrupted goes on when it is
    started again with the same configuration, to the same result.

    Args:
        config: how; its class decides the algorithm.
        given: a pipeline, rewards or prompts in place of those that `config` names.

    Raises:
        ConfigError: if the folder holds another run, the pipeline cannot be driven, the reward
            lacks what the algorithm needs, or a setting does not fit.
        DataError: if there are no prompts.
        BeholderError: if the reward gives no scores or the loss is not finite; what was learned so
            far is kept.
    """
    given = given or Given()
    processes = Processes(cpu=config.device == "cpu")
    with own_folder(asdict(config), processes, _PLACES) as folder:
        _tune(config, given, folder, processes)
    return folder


def _tune(config: TuneConfig, given: Given, folder: Path, processes: Processes) -> None:
    config = replace(config, fit=going_on(folder, config.fit, processes.count))
    kind = algorithm_class(config.algorithm)
    signal, held_out = _signals(config, given, processes)
    if kind.needs_gradient and not signal.reward.card.differentiable:
        raise ConfigError(
            f"{config.algorithm} needs the gradient of reward {signal.reward.card.name}, which has "
            "none; use algorithm dpo or nft"
        )
    learned, validated = _prompts(config, given)
    driver = _driver(config, given, processes)
    seed = config.fit.seed
    if processes.is_main:
        _note(folder, config, given, learned, validated)
    validation = Validation(driver, config, validated, (signal, held_out), folder)
    rewards = [one.reward for one in (signal, held_out) if one is not None]
    settle_scales(folder, rewards, validation, processes)
    start, scored = find_start(folder, validation, processes)
    denoising = denoising_of(
        driver, learned, config.sampling, config.pretraining, folder, processes, seed
    )
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        trained = driver.add_lora(config.lora)
    if processes.is_main:
        _test(driver, learned[0], config, folder)
    algorithm = kind(Studio(driver, trained, signal, learned, start, denoising), config)
    trained = driver.trained(algorithm.state())
    run = _Evaluations(validation, start, denoising, scored, config, processes)
    step, batches = run.counted(algorithm)
    task = Task(step, batches, run.evaluate, objective, run.reported(folder))
    progress = fit(task, trained, config.fit, folder, processes)
    if processes.is_main:
        _finish(config, driver, progress, folder)
    processes.wait()


def _note(
    folder: Path,
    config: TuneConfig,
    given: Given,
    learned: Sequence[str],
    validated: Sequence[str],
) -> None:
    """What the run was given, or that it is the same again."""
    names = {
        "pipeline": config.pipeline if given.pipeline is None else type(given.pipeline).__name__,
        "reward": config.reward if given.reward is None else given.reward.card.name,
    }
    if given.held_out_reward is not None:
        names["held_out_reward"] = given.held_out_reward.card.name
    counts = {"learned": len(learned), "validated": len(validated)}
    hashes = {"prompts": prompts_hash([*learned, *validated])}
    claim(folder, "inputs.yaml", {**names, **counts, **hashes})
    write_versions(folder)
    (folder / "samples").mkdir(exist_ok=True)
    write_json(folder / "samples" / "prompts.json", list(validated))


def _signals(
    config: TuneConfig, given: Given, processes: Processes
) -> tuple[Signal, Signal | None]:
    device = processes.device
    reward = given.reward or load(config.reward, **config.options)
    signal = Signal(reward.to(device), config.aspect, config.views)
    other = given.held_out_reward
    if other is None and config.held_out_reward:
        other = load(config.held_out_reward, **config.held_out_options)
    if other is None:
        _LOG.warning(
            "no held_out_reward: nothing watches for reward hacking, and the run stops on the "
            "reward that it learns from"
        )
        return signal, None
    return signal, Signal(other.to(device))


def _prompts(config: TuneConfig, given: Given) -> tuple[list[str], list[str]]:
    prompts = read_prompts(config.prompts) if given.prompts is None else list(given.prompts)
    validation = given.validation_prompts
    if validation is None and config.validation_prompts:
        validation = read_prompts(config.validation_prompts)
    return divided(prompts, validation, config.validation_count, config.fit.seed)


def _driver(config: TuneConfig, given: Given, processes: Processes) -> Driver:
    return load_pipeline(
        config.pipeline if given.pipeline is None else given.pipeline,
        config.pipeline_options,
        processes.device,
        chosen_dtype(config.dtype, processes.device),
        gradient_checkpointing=config.gradient_checkpointing,
        vae_tiling=config.vae_tiling,
        keep_scheduler=config.keep_scheduler,
    )


def _test(driver: Driver, prompt: str, config: TuneConfig, folder: Path) -> None:
    """The self-test: printed, kept, and its faults raised."""
    found = self_test(driver, prompt, config.sampling, *config.window())
    write_json(folder / "selftest.json", {"lines": found.lines()})
    for line in found.lines():
        _LOG.info("%s", line)
    if faults := found.faults():
        raise ConfigError(f"the self-test of the pipeline failed: {'; '.join(faults)}")


class _Evaluations:
    """What `fit` calls to evaluate and to tell of it."""

    def __init__(
        self,
        validation: Validation,
        start: Start,
        denoising: Denoising | None,
        scored: Scored | None,
        config: TuneConfig,
        processes: Processes,
    ) -> None:
        self._validation, self._start, self._denoising = validation, start, denoising
        self._scored = scored
        self._per_step = config.fit.accumulation * processes.count
        self._done = 0

    def counted(
        self, algorithm: Algorithm[Any]
    ) -> tuple[Callable[[Any], tuple[Tensor, Logs]], Callable[[int, int], Iterator[Any]]]:
        """The algorithm's step and batches, which tell how many optimizer steps are done."""

        def step(batch: Any) -> tuple[Tensor, Logs]:
            self._done = batch.number // self._per_step + 1
            return algorithm.step(batch)

        def batches(start: int, stride: int) -> Iterator[Any]:
            self._done = start // self._per_step
            return algorithm.batches(start, stride)

        return step, batches

    def evaluate(self, rank: int, count: int) -> Sums:
        """Metrics of this process's share; the start's pictures are not made twice."""
        scored = self._scored if self._done == 0 else None
        if scored is None:
            scored = self._validation.score(self._done, rank, count)
        return metric_sums(scored, self._start, self._denoising)

    def reported(self, folder: Path) -> Callable[[int], None]:
        """Writes the run's report after each evaluation."""

        def evaluated(step: int) -> None:
            write_run_report(folder)

        return evaluated


def _finish(config: TuneConfig, driver: Driver, progress: Progress, folder: Path) -> None:
    error = driver.save_lora(folder)
    told = {
        "algorithm": config.algorithm,
        "steps": progress.step,
        "best_step": progress.best_step,
        "stopped_early": progress.is_stopped,
        "metrics": dict(progress.metrics or {}),
        "lora_reload_error": error,
    }
    write_json(folder / "summary.json", told)
    write_card(folder, config.pipeline)
    write_run_report(folder)
    if config.push_to:
        _LOG.info("%s", push_lora(folder, config.push_to))
