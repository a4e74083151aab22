"""Pictures of prompts in a folder, chosen or guided by a reward: what `beholder generate` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._guidance.candidates import scored
from beholder.training._rendering.pictures import write_png
from beholder.training._tuning.signal import Signal
from beholder.training.fit.learner import require
from beholder.training.guidance import (
    Candidates,
    Guidance,
    NoiseSearch,
    base_early,
    best_of,
    early_rejection,
    guided,
    optimise_noise,
)
from beholder.training.pipeline import Driver, Sampling
from beholder.training.run_folder import claim

MANIFEST = "manifest.jsonl"
_CLAIM = "generate.yaml"
_FOR_SPREAD = 8  # pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How pictures are made; at most one of the ways below, and without any the plain one.

    Attributes:
        best_of: candidates of each prompt, of which the best is kept.
        preview_step: step after which only `keep` of them go on, by the score of their preview;
            None runs all to their ends.
        keep: how many go on.
        guide: scale of reward guidance; 0 is without.
        search: iterations of the search for noise, for models of one to four steps; 0 is without.
        base_until: step from which the adapters work; the base model begins.
        seed: the first prompt's; the others' follow.
        batch_size: prompts at a time.
    """

    best_of: int = 1
    preview_step: int | None = None
    keep: int = 1
    guide: float = 0.0
    search: int = 0
    base_until: int = 0
    seed: int = 0
    batch_size: int = 4

    def __post_init__(self) -> None:
        for name in ("best_of", "keep", "batch_size"):
            require(name, getattr(self, name), above=0)
        for name in ("guide", "search", "base_until", "seed"):
            require(name, getattr(self, name), least=0)
        ways = {
            "best_of": self.best_of > 1,
            "guide": self.guide > 0,
            "search": self.search > 0,
            "base_until": self.base_until > 0,
        }
        if len(chosen := [name for name, is_asked in ways.items() if is_asked]) > 1:
            raise ConfigError(f"{' and '.join(chosen)} do not go together; give one of them")
        if self.preview_step is not None and self.best_of == 1:
            raise ConfigError("preview_step rejects candidates early; give best_of above 1")

    @property
    def needs_reward(self) -> bool:
        """Whether a reward decides."""
        return self.best_of > 1 or self.guide > 0 or self.search > 0


@dataclass(frozen=True, slots=True)
class Generated:
    """What a folder holds.

    Attributes:
        pictures: that were made now.
        done_before: that were there.
        errors: picture -> why it has no score, of all of them.
        steps_run: steps of the denoiser now, counted for each picture.
    """

    pictures: int
    done_before: int
    errors: Mapping[str, str]
    steps_run: int

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Batch:
    pixels: Tensor
    seeds: Sequence[int]
    scores: Sequence[float | None]
    errors: Mapping[int, str]
    steps_run: int


def generate(
    driver: Driver,
    signal: Signal | None,
    prompts: Sequence[str],
    sampling: Sampling,
    config: Generation,
    folder: Path,
    progress: Callable[[int], object] = lambda count: None,
    *,
    made_by: Mapping[str, object] | None = None,
) -> Generated:
    """Write a PNG for each prompt, and `manifest.jsonl`, which `beholder score` reads.

    Its rows hold image, prompt, seed, score (null without a reward) and error. A run that was
    stopped goes on with the prompts that are left; `progress` is called with pictures made.
    `made_by` names what else decides on the pictures, such as pipeline and reward, so that a folder
    never mixes two.

    Raises:
        ConfigError: if a reward is needed and there is none, or the folder holds pictures that were
            made otherwise.
    """
    if config.needs_reward and signal is None:
        raise ConfigError("best_of, guide and search need a reward to decide; give one")
    how = {**asdict(config), "sampling": asdict(sampling), **(made_by or {})}
    if (folder / _CLAIM).exists():
        claim(folder, _CLAIM, how)
    done = _rows_done(folder, prompts)
    progress(done)
    steps = 0
    for rows in _batches(done, len(prompts), config.batch_size):
        batch = _made(driver, signal, [prompts[row] for row in rows], sampling, config, rows[0])
        steps += batch.steps_run
        folder.mkdir(parents=True, exist_ok=True)
        claim(folder, _CLAIM, how)  # not before something was made: a bad setting can be mended
        _write(folder, rows, prompts, batch)
        progress(len(rows))
    return Generated(len(prompts) - done, done, _errors(folder), steps)


def _made(
    driver: Driver,
    signal: Signal | None,
    prompts: Sequence[str],
    sampling: Sampling,
    config: Generation,
    first: int,
) -> _Batch:
    """One batch of pictures by the way that is asked for."""
    seeds = [config.seed + first + k for k in range(len(prompts))]
    if signal is not None and config.best_of > 1:
        candidates = Candidates(
            each=config.best_of, seed=config.seed + first, batch_size=config.batch_size
        )
        if config.preview_step is None:
            found = best_of(driver, signal, prompts, sampling, candidates)
        else:
            found = early_rejection(
                driver,
                signal,
                prompts,
                sampling,
                candidates,
                at=config.preview_step,
                keep=config.keep,
            )
        return _scored(found.pixels, found.seeds, found.scores, found.errors, found.steps_run)
    if signal is not None and config.guide > 0:
        led = guided(driver, signal, prompts, sampling, Guidance(scale=config.guide), seeds=seeds)
        return _scored(led.pixels, led.seeds, led.scores, led.errors, led.steps_run)
    if signal is not None and config.search > 0:
        spread = _spread(driver, signal, prompts, sampling, config.seed)
        search = NoiseSearch(iterations=config.search, spread=spread)
        best = optimise_noise(driver, signal, prompts, sampling, search, seeds=seeds)
        return _scored(best.pixels, best.seeds, best.scores, best.errors, best.steps_run)
    return _plain(driver, signal, prompts, sampling, config.base_until, seeds)


def _plain(
    driver: Driver,
    signal: Signal | None,
    prompts: Sequence[str],
    sampling: Sampling,
    base_until: int,
    seeds: Sequence[int],
) -> _Batch:
    """Pictures as they come; with a reward they are scored too."""
    steps = len(prompts) * sampling.steps
    if base_until:
        begun = base_early(driver, prompts, sampling, switch_at=base_until, seeds=seeds)
        pixels, steps = begun.pixels, begun.steps_run
    else:
        pixels = driver.sample(prompts, sampling, seeds=seeds).pixels
    if signal is None:
        return _Batch(pixels, seeds, [None] * len(prompts), {}, steps)
    scores, errors = scored(signal, pixels, prompts)
    return _scored(pixels, seeds, scores, errors, steps)


def _spread(
    driver: Driver, signal: Signal, prompts: Sequence[str], sampling: Sampling, seed: int
) -> float:
    """Standard deviation of the scores of a prompt's pictures: what a search counts gains in."""
    texts = list(prompts[:1]) * _FOR_SPREAD
    seeds = range(seed + 1, seed + 1 + _FOR_SPREAD)
    scores, _ = scored(signal, driver.sample(texts, sampling, seeds=list(seeds)).pixels, texts)
    spread = float(scores[scores.isfinite()].std())
    return spread if spread > 0 else 1.0


def _scored(
    pixels: Tensor, seeds: Sequence[int], scores: Tensor, errors: Mapping[int, str], steps: int
) -> _Batch:
    return _Batch(pixels, seeds, scores.tolist(), errors, steps)


def _batches(done: int, count: int, size: int) -> Iterator[list[int]]:
    for start in range(done, count, size):
        yield list(range(start, min(start + size, count)))


def _name(row: int) -> str:
    return f"{row:05d}.png"


def _rows_done(folder: Path, prompts: Sequence[str]) -> int:
    """How many of the prompts, from the first, are in the manifest with their pictures."""
    path = folder / MANIFEST
    if not path.is_file():
        return 0
    whole = []
    for row, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        try:
            told = json.loads(line)
        except json.JSONDecodeError:
            break
        is_same = row < len(prompts) and told.get("prompt") == prompts[row]
        if not is_same:
            raise ConfigError(f"{folder} holds pictures of other prompts; give another folder")
        if not (folder / _name(row)).is_file():
            break
        whole.append(line)
    path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return len(whole)


def _errors(folder: Path) -> dict[str, str]:
    """Picture -> why it has no score, of all that are in the folder."""
    told = map(json.loads, (folder / MANIFEST).read_text(encoding="utf-8").splitlines())
    return {row["image"]: row["error"] for row in told if row["error"]}


def _write(folder: Path, rows: Sequence[int], prompts: Sequence[str], batch: _Batch) -> None:
    with (folder / MANIFEST).open("a", encoding="utf-8") as file:
        for k, row in enumerate(rows):
            write_png(folder / _name(row), batch.pixels[k])
            score = batch.scores[k]
            told = {
                "image": _name(row),
                "prompt": prompts[row],
                "seed": batch.seeds[k],
                "score": score if score == score else None,  # noqa: PLR0124  (NaN is no JSON)
                "error": batch.errors.get(k, ""),
            }
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
