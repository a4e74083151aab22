"""The training loop: `fit` knows no algorithm, an algorithm is a step `batch -> loss, logs`."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from beholder.errors import BeholderError, ConfigError
from beholder.training.fit.checkpoints import Checkpoint, read_newest, write_checkpoint
from beholder.training.fit.diagnosis import Diagnosis
from beholder.training.fit.finiteness import cause_in
from beholder.training.fit.journal import Journal
from beholder.training.fit.learner import FitConfig, Learner, LearningMode, RateOf, one_rate
from beholder.training.fit.processes import Processes
from beholder.training.fit.resuming import begun, shared
from beholder.training.fit.sharding import Shards
from beholder.training.fit.shares import share_gradients

_LOG = logging.getLogger(__name__)
Batch = TypeVar("Batch")
Logs = Mapping[str, Tensor | float]
Sums = Mapping[str, tuple[float, float]]


@dataclass(slots=True)
class Progress:
    """Where a run is.

    Attributes:
        step: optimizer steps done.
        best_step: after which the best weights were.
        best: the objective of these weights; None before the first evaluation.
        metrics: their evaluation.
        stale: evaluations since then.
        is_stopped: whether the patience ran out.
        evaluated_step: of the newest evaluation; -1 before the first.
    """

    step: int = 0
    best_step: int = 0
    best: tuple[float, ...] | None = None
    metrics: Mapping[str, float] | None = None
    stale: int = 0
    is_stopped: bool = False
    evaluated_step: int = -1


@dataclass(frozen=True)
class Task(Generic[Batch]):
    """What is learned.

    Attributes:
        step: loss of a batch, and numbers to log by room/name; the same names for every batch.
        batches: (start, stride) -> batches start, start + stride, … of an endless stream in which
            a batch depends on nothing but its number: so runs resume and processes share it.
        evaluate: (rank, processes) -> sum and count of each metric on that share of the held-out
            data, the same names on each; None trains without.
        objective: what to maximise in these metrics; later numbers decide where earlier ones tie.
        evaluated: called by the main process with the step once an evaluation is in the journal.
        diagnosis: told by the main process of each step and evaluation; says what ails the run.
    """

    step: Callable[[Batch], tuple[Tensor, Logs]]
    batches: Callable[[int, int], Iterator[Batch]]
    evaluate: Callable[[int, int], Sums] | None = None
    objective: Callable[[Mapping[str, float]], tuple[float, ...]] = lambda metrics: tuple(
        metrics.values()
    )
    evaluated: Callable[[int], None] = lambda step: None
    diagnosis: Diagnosis | None = None


def fit(
    task: Task[Batch],
    module: nn.Module,
    config: FitConfig,
    folder: Path,
    processes: Processes | None = None,
    rate_of: RateOf = one_rate,
) -> Progress:
    """Train what is not frozen in `module`, leave the best weights in it and say how it went.

    The folder gets `checkpoints/`, `metrics.jsonl` and `tensorboard/`. A run that was interrupted
    goes on from its newest whole checkpoint and ends with the same weights, to the bit, as one that
    was not. Several processes, as `accelerate launch` or `torchrun` start them, do what one would
    do with as many times the accumulation, also where a run goes on with another number of them:
    a step keeps its batches, and a batch its random numbers. Where accelerate was told to use FSDP,
    the towers of a reward are held in shards. `rate_of` gives the share of the learning rate by
    which a weight of that name learns. The caller's random state is left as it was.

    A run of one process that fails, or is told to stop, keeps what its last whole step gave.

    Raises:
        ConfigError: if everything is frozen, the device lacks the precision, or the processes
            cannot share the batches of a step that the run was begun with.
        BeholderError: if a loss, a gradient or what decides which weights are best is not finite,
            or the memory does not suffice.
    """
    processes = processes or Processes()
    folder.mkdir(parents=True, exist_ok=True)
    module.to(processes.device)
    run = _Run(task, module, config, folder, processes, rate_of)
    devices = [processes.device] if processes.device.type == "cuda" else []
    with torch.random.fork_rng(devices), run.resumed(), run.kept():
        run.train()
    run.finish()
    return run.progress


def chosen_precision(precision: str, device: torch.device) -> str:
    """The precision to compute in; ConfigError if the device lacks it."""
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "auto":
        return "bf16" if has_bf16 else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError("precision fp16 needs a GPU; use fp32 on a CPU")
    return precision


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """A context that computes in "fp32", "bf16" or "fp16"."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


class _Run(Generic[Batch]):
    """One call of `fit`."""

    def __init__(
        self,
        task: Task[Batch],
        module: nn.Module,
        config: FitConfig,
        folder: Path,
        processes: Processes,
        rate_of: RateOf,
    ) -> None:
        precision = chosen_precision(config.precision, processes.device)
        self._task = task
        self._module = module
        self._config = config
        self._folder = folder
        self._processes = processes
        self._precision = precision
        self._journal: Journal | None = None
        self._begun = begun(None, config, processes.count)
        self._shards = Shards(module, processes, precision)
        self.learner = Learner(module, config, precision, rate_of)
        self._learning_mode = LearningMode(module)
        self.progress = Progress()
        self._saved_step = 0
        self._is_whole = True  # whether weights and moments are those of one step

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Where the newest checkpoint left off, with a journal open in the main process."""
        checkpoint = read_newest(self._folder / "checkpoints")
        if self._task.diagnosis is not None:  # before the weights of a checkpoint are in place
            self._task.diagnosis.watch(self.learner.weights)
        if checkpoint is not None:
            self._take_up(checkpoint)
        if not self._processes.is_main:
            yield
            return
        counts = -1 if checkpoint is None else self.progress.step  # what a start left goes
        with closing(Journal(self._folder, counts)) as self._journal:
            yield

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A checkpoint of the last whole step is written if what is inside fails or is stopped."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            self._keep()
            raise BeholderError(
                f"out of memory after step {self.progress.step} ({error}); smaller batches with "
                "more accumulation, gradient checkpointing or bf16 need less"
            ) from error
        except BaseException:
            self._keep()
            raise

    def train(self) -> None:
        """All steps that are left."""
        progress, config = self.progress, self._config
        batches = self._batches()
        self._evaluate_if_due()
        bar = self._bar()
        while progress.step < config.steps and not progress.is_stopped:
            began = time.perf_counter()
            logs = self._learn(batches)
            progress.step += 1
            self._is_whole = True
            self._tell(logs)
            if self._is_due(config.log_every_steps):
                self._write({**self._mean(logs), "time/step_seconds": time.perf_counter() - began})
            self._evaluate_if_due()
            if self._is_due(config.checkpoint_every_steps) or progress.is_stopped:
                self._save()
            bar.set_postfix_str(f"loss {logs['train/loss']:.4f}", refresh=False)
            bar.update()
        bar.close()

    def finish(self) -> None:
        """Leave the best weights in the module, whole and in eval mode."""
        self.learner.finish()
        self._shards.undo()
        self._module.eval()

    def _batches(self) -> Iterator[Batch]:
        return self._task.batches(self._number(0), self._processes.count)

    def _number(self, part: int) -> int:
        """The number, among all batches of the run, of a part of this process's next step."""
        count = self._processes.count
        parts = self.progress.step * self._config.accumulation + part
        return parts * count + self._processes.rank

    def _bar(self) -> Any:
        from tqdm import tqdm  # noqa: PLC0415

        hidden = None if self._processes.is_main else True  # None: where no terminal is
        start, steps = self.progress.step, self._config.steps
        return tqdm(total=steps, initial=start, unit="step", disable=hidden, file=sys.stderr)

    def _is_due(self, every: int) -> bool:
        step = self.progress.step
        return step % every == 0 or step == self._config.steps

    def _learn(self, batches: Iterator[Batch]) -> dict[str, float]:
        """One optimizer step."""
        step = self.progress.step
        self._learning_mode()
        parts = [self._backward(k, batches) for k in range(self._config.accumulation)]
        logs = {key: float(sum(part[key] for part in parts)) / len(parts) for key in parts[0]}
        if not self._processes.all(math.isfinite(logs["train/loss"])):
            raise self._failure(f"the loss is {logs['train/loss']}")
        share_gradients(self._processes, list(self.learner.weights.values()))
        norm = self.learner.clip()
        if not math.isfinite(norm) and self._precision != "fp16":
            raise self._failure(f"the norm of the gradient is {norm}")
        self._is_whole = False
        told = self.learner.update(step)
        if (scale := told.get("train/loss_scale", 1.0)) < 1:
            raise self._failure(f"fp16 gradients are not finite with a loss scale of {2 * scale:g}")
        return {**logs, "train/gradient_norm": norm, **told}

    def _backward(self, part: int, batches: Iterator[Batch]) -> Logs:
        """Random numbers depend on the seed and the batch's number alone."""
        torch.manual_seed(batch_seed(self._config.seed, self._number(part)))
        batch = next(batches)
        with self._autocast():
            loss, logs = self._task.step(batch)
        self.learner.backward(loss / self._config.accumulation)
        return {"train/loss": loss.detach(), **logs}

    def _failure(self, what: str) -> BeholderError:
        """The error of a step that is not finite, with the cause: its batches are done again."""
        find = partial(cause_in, self._module, step=self.progress.step, again=not self._shards)
        cause = ""
        for part, batch in enumerate(islice(self._batches(), self._config.accumulation)):
            cause = cause or find(batch, partial(self._loss, part, batch))
        why = cause or "no cause is found here; see what the other processes say"
        return BeholderError(
            f"{what} at step {self.progress.step}: {why}. Then start in a new folder"
        )

    def _loss(self, part: int, batch: Batch) -> Tensor:
        torch.manual_seed(batch_seed(self._config.seed, self._number(part)))
        with self._autocast():
            return self._task.step(batch)[0]

    def _tell(self, logs: Mapping[str, float]) -> None:
        if self._task.diagnosis is not None and self._processes.is_main:
            self._task.diagnosis.step(self.progress.step, logs)

    def _evaluate_if_due(self) -> None:
        """Evaluate at this step unless that was done before a stop."""
        progress = self.progress
        if (
            self._is_due(self._config.evaluate_every_steps)
            and progress.evaluated_step < progress.step
        ):
            self._evaluate()
            progress.evaluated_step = progress.step

    def _evaluate(self) -> None:
        """The diagnosis is told also where nothing is held out."""
        found = self._measured()
        if not self._processes.is_main:
            return
        if self._task.diagnosis is not None:
            self._task.diagnosis.evaluated(self.progress.step, *found)
        if self._task.evaluate is not None:
            self._task.evaluated(self.progress.step)

    @torch.no_grad()
    def _measured(self) -> tuple[dict[str, float], dict[str, float]]:
        """Each metric, which is judged and written, and its count; none without an evaluation."""
        if self._task.evaluate is None:
            return {}, {}
        self._module.eval()
        with self.learner.averaged(), self._shards.gathered():
            with self._autocast():
                sums = self._task.evaluate(self._processes.rank, self._processes.count)
            metrics, counts = self._ratios(sums)
            self._judge(metrics)
        self._write(metrics)
        return metrics, counts

    def _judge(self, metrics: Mapping[str, float]) -> None:
        progress, value = self.progress, self._task.objective(metrics)
        if any(map(math.isnan, value)):
            lacking = ", ".join(name for name, number in metrics.items() if math.isnan(number))
            raise BeholderError(
                f"the evaluation at step {progress.step} decides nothing: {lacking or 'it'} is not "
                "a number; look for scores that are not finite, or data without answers"
            )
        if progress.best is None or value > progress.best:
            progress.best, progress.best_step, progress.stale = value, progress.step, 0
            progress.metrics = metrics
            self.learner.best = self.learner.snapshot()
            return
        progress.stale += 1
        progress.is_stopped = progress.stale == self._config.patience_evaluations

    def _mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Mean over the processes."""
        return self._ratios({key: (value, 1.0) for key, value in values.items()})[0]

    def _ratios(self, sums: Sums) -> tuple[dict[str, float], dict[str, float]]:
        """Sum / count of each metric over all processes, and the count."""
        table = torch.tensor([sums[key] for key in sums], dtype=torch.float64)
        table = self._processes.sum(table)
        ratios, counts = (table[:, 0] / table[:, 1]).tolist(), table[:, 1].tolist()
        return dict(zip(sums, ratios, strict=True)), dict(zip(sums, counts, strict=True))

    def _write(self, values: Mapping[str, float]) -> None:
        if self._journal is not None:
            self._journal.write(self.progress.step, values)

    def _save(self) -> None:
        tensors = self.learner.tensors(keep=self._processes.is_main)
        if self._processes.is_main:
            diagnosis = self._task.diagnosis
            state = {
                "progress": asdict(self.progress),
                "scale": self.learner.numbers(),
                "begun": asdict(self._begun),
                "diagnosis": {} if diagnosis is None else diagnosis.state(),
            }
            checkpoint = Checkpoint(self.progress.step, tensors, state)
            keep = self._config.keep_checkpoints
            write_checkpoint(self._folder / "checkpoints", checkpoint, keep=keep)
        self._saved_step = self.progress.step
        self._processes.wait()

    def _keep(self) -> None:
        """Save if that is possible: others may wait elsewhere, and the disk may be what failed."""
        if self._is_whole and self._processes.count == 1 and self.progress.step > self._saved_step:
            with suppress(OSError):
                self._save()

    def _take_up(self, checkpoint: Checkpoint) -> None:
        state = cast("dict[str, Any]", checkpoint.state)
        self._begun = begun(checkpoint, self._config, self._processes.count)
        self._config = shared(self._config, self._begun, self._processes.count)
        if self._task.diagnosis is not None:
            self._task.diagnosis.restore(state["diagnosis"])
        self.learner.restore(checkpoint.tensors, state["scale"])
        best = state["progress"].pop("best")
        self.progress = Progress(best=None if best is None else tuple(best), **state["progress"])
        self._saved_step = self.progress.step
        done = self.progress.step
        is_over = done >= self._config.steps or self.progress.is_stopped
        _LOG.info("the run was over after step %d" if is_over else "going on after step %d", done)

    def _autocast(self) -> torch.autocast:
        return autocast(self._precision, self._processes.device)


def batch_seed(seed: int, number: int) -> int:
    """Seed of what is random in one batch: 64 well-mixed bits."""
    return int(np.random.SeedSequence([seed, number, 0]).generate_state(1, np.uint64)[0])
