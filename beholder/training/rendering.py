"""Pictures of many checkpoints from the same prompts and the same noise, to be compared.

    out/manifest.jsonl                       a row a picture: what `beholder score` reads
    out/render.json                          what the pictures are made by
    out/pictures/<model>/<prompt>-s<seed>.png
    out/tries/<model>.jsonl                  how long each took, or why it is not there

Every checkpoint begins a prompt's picture with the same noise, drawn on the CPU, and runs its own
call with its own scheduler. A run that was stopped goes on; checkpoints, prompts and seeds may be
added to a folder later. What fails for reasons of the machine, or of the program, stops the run and
is written down for no prompt.
"""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from beholder._lock import only_writer
from beholder._page.document import write_whole
from beholder.errors import BeholderError, ConfigError
from beholder.prompt_sets import PromptRow
from beholder.rewards._base import prompt_fault
from beholder.training._pipeline.loading import chosen_dtype, load_pipeline
from beholder.training._pipeline.quiet import quiet
from beholder.training._rendering import failures
from beholder.training._rendering.checkpoints import Checkpoint as Checkpoint
from beholder.training._rendering.checkpoints import named_checkpoints
from beholder.training._rendering.pictures import picture_fault, write_png
from beholder.training._rendering.tasks import Task, in_batches, tasks_of
from beholder.training._rendering.tries import Tries
from beholder.training.fit.learner import require
from beholder.training.fit.loop import chosen_precision
from beholder.training.pipeline import Driver, Sampling
from beholder.training.run_folder import differences

MANIFEST = "manifest.jsonl"
_LOG = logging.getLogger(__name__)
_CPU = torch.device("cpu")
_OURS = ("key", "image", "prompt", "model", "seed", "category")
MOST_FAILURES = 5
"""Prompts of a checkpoint that may fail in a row before it draws any; then it is not theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderConfig:
    """How pictures are drawn.

    Attributes:
        sampling: steps, guidance, size and further arguments, the same for every checkpoint.
        batch_size: pictures in one call of a pipeline; they do not depend on it but by rounding.
        device: where pipelines run; None is a GPU if there is one.
        dtype: of the weights: "auto", "fp32", "bf16" or "fp16".
        retry_failed: draw once more what could not be drawn before.
    """

    sampling: Sampling = field(default_factory=Sampling)
    batch_size: int = 4
    device: str | None = None
    dtype: str = "auto"
    retry_failed: bool = False

    def __post_init__(self) -> None:
        require("batch_size", self.batch_size, above=0)

    @property
    def place(self) -> torch.device:
        """Where pipelines run."""
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def as_dict(self) -> dict[str, object]:
        """What pictures depend on, as plain JSON-ready values."""
        place = self.place
        told = {
            "sampling": asdict(self.sampling),
            "dtype": chosen_precision(self.dtype, place),
            "device": place.type,
        }
        plain: dict[str, object] = json.loads(json.dumps(told, default=str))
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What a folder holds of what was asked.

    Attributes:
        manifest: a row for each checkpoint, prompt and seed.
        models: names of the checkpoints, as asked.
        pictures: that were drawn now.
        done_before: that were there.
        failed: key -> why there is no picture.
        seconds: checkpoint -> median seconds a picture, each its share of a batch.
    """

    manifest: Path
    models: tuple[str, ...]
    pictures: int
    done_before: int
    failed: Mapping[str, str]
    seconds: Mapping[str, float]

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return {**asdict(self), "manifest": str(self.manifest), "models": list(self.models)}


def render(
    checkpoints: Sequence[str | Checkpoint],
    prompts: Sequence[PromptRow],
    seeds: Sequence[int],
    out: Path,
    config: RenderConfig | None = None,
    progress: Callable[[int], object] = lambda count: None,
) -> Rendered:
    """Draw a PNG for each checkpoint, prompt and seed, and write the manifest.

    One pipeline is in memory at a time. A picture that cannot be drawn is a row with its reason,
    `render_error`, and stops nothing; its row names the file that would hold it, so that scores of
    a later try join the same row.

    Args:
        checkpoints: see `named_checkpoints`.
        prompts: distinct, such as `beholder.prompt_sets.load_prompts` gives.
        seeds: distinct; a picture of each for every prompt.
        out: the folder.
        config: how.
        progress: called with numbers of pictures that are there or failed.

    Raises:
        ConfigError: if a checkpoint cannot be loaded, a setting does not fit, or the folder holds
            pictures that were made otherwise.
        DataError, OSError: if another process draws in the folder, or it cannot be written.
        BeholderError: if memory or the device fails, or the first prompts of a checkpoint all do.
    """
    config = config or RenderConfig()
    chosen = _chosen(checkpoints)
    require("seeds", len(seeds), above=0)
    tasks = tasks_of(prompts, seeds)
    if not tasks or len({task.name for task in tasks}) < len(tasks):
        raise ConfigError("prompts and seeds must be there and differ; give each once")
    _refuse_others(out, chosen, config)
    out.mkdir(parents=True, exist_ok=True)
    with only_writer(out / ".lock"):
        studios = [_Studio(out, checkpoint, config) for checkpoint in chosen]
        done = sum(studio.run(tasks, progress) for studio in studios)
        rows = [row for studio in studios for row in studio.rows(tasks)]
        write_whole(out / MANIFEST, "".join(f"{json.dumps(row)}\n" for row in rows))
    failed = {row["key"]: row["render_error"] for row in rows if row["render_error"]}
    return Rendered(
        manifest=out / MANIFEST,
        models=tuple(one.name for one in chosen),
        pictures=done,
        done_before=len(rows) - len(failed) - done,
        failed=failed,
        seconds={studio.name: studio.seconds(tasks) for studio in studios},
    )


class _Studio:
    """Draws the pictures of one checkpoint."""

    def __init__(self, out: Path, checkpoint: Checkpoint, config: RenderConfig) -> None:
        self.name = checkpoint.name
        self._out, self._checkpoint, self._config = out, checkpoint, config
        self._tries = Tries(out / "tries" / f"{self.name}.jsonl")
        self._failed_first = None if self._tries.seconds else set[str]()  # None: it can draw

    def run(self, tasks: Sequence[Task], progress: Callable[[int], object]) -> int:
        """Draw what is missing; gives how many were drawn."""
        self._refuse_prompts(tasks)
        drawable = [task for task in tasks if prompt_fault(task.row.prompt) is None]
        progress(len(tasks) - len(drawable))
        driver: Driver | None = None
        drawn = 0
        for batch in in_batches(drawable, self._config.batch_size):
            missing = {task.name for task in batch if self._is_missing(task)}
            if missing:
                driver = driver or self._driver()
                drawn += self._draw(driver, batch, missing)
            progress(len(batch))
        if driver is not None:
            del driver
            _forget_pipelines()
        return drawn

    def rows(self, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
        """A row of the manifest for each task."""
        further = dict.fromkeys(name for task in tasks for name in task.row.further)
        for task in tasks:
            path = self._path(task)
            is_there = path.is_file()
            yield {
                "key": f"{self.name}/{task.name}",
                "image": path.relative_to(self._out).as_posix(),
                "prompt": task.row.prompt,
                "model": self.name,
                "seed": task.seed,
                "category": task.row.category,
                "noise_seed": task.noise_seed,
                "render_seconds": self._tries.seconds.get(task.name) if is_there else None,
                "render_error": None if is_there else self._tries.errors[task.name],
                **{_kept(name): task.row.further.get(name) for name in further},
            }

    def seconds(self, tasks: Sequence[Task]) -> float:
        """Median of a picture; NaN if none was drawn."""
        found = [self._tries.seconds[t.name] for t in tasks if t.name in self._tries.seconds]
        return median(found) if found else float("nan")

    def _path(self, task: Task) -> Path:
        return self._out / "pictures" / self.name / f"{task.name}.png"

    def _is_missing(self, task: Task) -> bool:
        if self._path(task).is_file():
            return False
        return self._config.retry_failed or task.name not in self._tries.errors

    def _refuse_prompts(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            why = prompt_fault(task.row.prompt)
            if why is not None and task.name not in self._tries.errors:
                self._tries.failed(task.name, f"prompt: {why}")

    def _driver(self) -> Driver:
        one, place = self._checkpoint, self._config.place
        dtype = chosen_dtype(self._config.dtype, place)
        _LOG.info("loading %s: %s", one.name, one.pipeline)
        driver = load_pipeline(one.pipeline, one.options, place, dtype, keep_scheduler=True)
        if one.lora is not None:
            driver.load_lora(one.lora)
        _note(self._out, one, self._config)
        return driver

    def _draw(self, driver: Driver, batch: Sequence[Task], missing: set[str]) -> int:
        """Draw a batch, whole, and write what is missing of it; gives how many were written.

        The neighbours of a missing picture are drawn too, so that it is the picture that it would
        have been without the stop.
        """
        try:
            pictures, seconds = self._drawn(driver, batch)
        except failures.OF_PROMPTS as error:
            failures.refuse_others(error, self.name, len(batch))
            if len(batch) == 1:
                self._failed(batch[0], failures.told(error))
                return 0
            alone = [task for task in batch if task.name in missing]
            return sum(self._draw(driver, [task], {task.name}) for task in alone)
        written = 0
        for task, pixels in zip(batch, pictures, strict=True):
            if task.name in missing:
                written += self._keep(task, pixels, seconds / len(batch))
        return written

    def _drawn(
        self, driver: Driver, batch: Sequence[Task]
    ) -> tuple[Float[Tensor, "b 3 h w"], float]:
        begin = perf_counter()
        with quiet():  # a line for every prompt that is longer than a text encoder reads
            pictures = driver.own_call(
                [task.row.prompt for task in batch],
                self._config.sampling,
                seeds=[task.noise_seed for task in batch],
                noise_on=_CPU,
            ).cpu()
        return pictures, perf_counter() - begin

    def _keep(self, task: Task, pixels: Float[Tensor, "3 h w"], seconds: float) -> bool:
        """Whether it is a picture, which is then written."""
        if why := picture_fault(pixels):
            self._failed(task, why)
            return False
        write_png(self._path(task), pixels)
        self._tries.drawn(task.name, seconds)
        self._failed_first = None
        return True

    def _failed(self, task: Task, why: str) -> None:
        """Write down why there is no picture; BeholderError if no prompt has one so far."""
        self._tries.failed(task.name, why)
        if self._failed_first is None:
            return
        self._failed_first.add(task.row.prompt)
        if len(self._failed_first) >= MOST_FAILURES:
            raise BeholderError(
                f"{self.name} failed on its first {MOST_FAILURES} prompts, so the run stops; the "
                f"last: {why}; what failed is drawn again with --retry-failed"
            )


def _chosen(checkpoints: Sequence[str | Checkpoint]) -> list[Checkpoint]:
    """Checkpoints with their names; ConfigError if two have the same."""
    texts = [one for one in checkpoints if isinstance(one, str)]
    named = iter(named_checkpoints(texts) if texts or not checkpoints else [])
    chosen = [next(named) if isinstance(one, str) else one for one in checkpoints]
    if len({one.name.casefold() for one in chosen}) < len(chosen):
        raise ConfigError(f"two checkpoints share a name: {', '.join(c.name for c in chosen)}")
    return chosen


def _kept(name: str) -> str:
    """What a further column of a prompt set is called in the manifest."""
    return f"prompt_{name}" if name.lower() in _OURS else name


def _forget_pipelines() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _said(out: Path) -> dict[str, Any]:
    path = out / "render.json"
    if not path.is_file():
        return {}
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return said


def _refuse_others(out: Path, chosen: Sequence[Checkpoint], config: RenderConfig) -> None:
    """Raise ConfigError if the folder's pictures were made otherwise than is asked."""
    said = _said(out)
    if not said:
        return
    differs = differences(said["settings"], config.as_dict())
    known = said["checkpoints"]
    for one in chosen:
        if one.name in known:
            differs += differences(*_alike(known[one.name], _identity(one)), one.name)
    if differs:
        raise ConfigError(
            f"{out} holds pictures that were made otherwise: {'; '.join(differs)}; give another "
            "folder or another name, or delete this one to start again"
        )


def _alike(
    old: dict[str, object], new: dict[str, object]
) -> tuple[dict[str, object], dict[str, object]]:
    """Both identities, without the commit of a repository that one of them does not know."""
    if old.get("commit") and new.get("commit"):
        return old, new
    return old | {"commit": ""}, new | {"commit": ""}


def _note(out: Path, checkpoint: Checkpoint, config: RenderConfig) -> None:
    """Write what a loaded checkpoint's pictures are made by."""
    _refuse_others(out, [checkpoint], config)  # a repository's commit is known by now
    checkpoints = {**_said(out).get("checkpoints", {}), checkpoint.name: _identity(checkpoint)}
    said = {"format": 1, "settings": config.as_dict(), "checkpoints": checkpoints}
    write_whole(out / "render.json", json.dumps(said, indent=2))


def _identity(checkpoint: Checkpoint) -> dict[str, object]:
    plain: dict[str, object] = json.loads(json.dumps(checkpoint.identity(), default=str))
    return plain
