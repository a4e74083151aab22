"""Scores of many pictures: one line for a few, and a resumable table for as many as there are."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import torch

import beholder
from beholder.errors import ConfigError, DataError
from beholder.images import Alpha, ImageSource
from beholder.inputs import Inputs as Inputs
from beholder.inputs import Row as Row
from beholder.inputs import read_inputs as read_inputs
from beholder.rewards import Reward, load
from beholder.rewards._base import evaluating
from beholder.rewards._calibration import keep_in_table
from beholder.rewards._cells import BatchScorer, Column
from beholder.rewards._read_ahead import Decoded, Task, batches, decoded
from beholder.tables import ScoreTable, TableWriter, check_reward_name
from beholder.types import Scores

FLUSH_SECONDS = 60.0
"""A killed run loses at most about this much work."""

_kept: dict[str, Reward] = {}
_loading = threading.Lock()


def score(
    images: ImageSource | Sequence[ImageSource],
    prompts: str | Sequence[str] | None = None,
    reward: str | Reward = "mps",
    *,
    batch_size: int = 32,
    alpha: Alpha = "white",
    **load_options: object,
) -> Scores:
    """Scores of a few pictures by a reward that is loaded at the first call and then kept.

    Args:
        images: one picture or many: paths, encoded bytes, PIL images, arrays or tensors.
        prompts: one for all or one each; None where the reward needs none.
        reward: what `beholder.load` accepts, or a loaded reward.
        batch_size: pictures in one pass of the model.
        alpha: behind transparent pixels: "white", "black" or "drop".
        load_options: passed on to `beholder.load`, such as `weights=` or `device=`.

    Raises:
        ConfigError: if options come with a reward that is loaded already.
        DataError: if the numbers of pictures and prompts differ.
    """
    if isinstance(reward, Reward):
        if load_options:
            raise ConfigError(f"{', '.join(load_options)}: the reward is loaded already")
        return reward.score(images, prompts, batch_size=batch_size, alpha=alpha)
    name = repr((reward, sorted(load_options.items())))
    with _loading:
        if name not in _kept:
            _kept.clear()
            _kept[name] = load(reward, **load_options)  # type: ignore[arg-type]
        loaded = _kept[name]
    return loaded.score(images, prompts, batch_size=batch_size, alpha=alpha)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What one run of `score_table` did.

    Attributes:
        rows: rows of the input; each has its row in the table.
        scored: rows that this run worked on.
        skipped: rows that every reward had already.
        failed: rows of this run that at least one reward could not score.
        errors: reward -> error code -> number of rows of this run.
        seconds: how long it took.
    """

    rows: int
    scored: int
    skipped: int
    failed: int
    errors: Mapping[str, Mapping[str, int]]
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        errors = {reward: dict(codes) for reward, codes in self.errors.items()}
        counts = {n: getattr(self, n) for n in ("rows", "scored", "skipped", "failed", "seconds")}
        return {**counts, "errors": errors}


def score_table(
    rows: Iterable[Row],
    rewards: Mapping[str, Reward],
    out: str | Path,
    *,
    batch_size: int = 32,
    alpha: Alpha = "white",
    shard_rows: int = 1024,
    retry_failed: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Summary:
    """Score rows by several rewards into the table `out`, decoding each picture once.

    The table keeps the calibration of a reward that has one, so that `filter` can ask for its win
    probabilities.

    Every row gets its row in the table, in order, with scores or an error. Rows that are there
    already are skipped, so the same call goes on after an interruption, and a call with another
    reward adds that reward's columns.

    Args:
        rows: from `read_inputs`, or your own; their keys must be unique.
        rewards: name of the columns -> reward.
        out: folder of the table.
        batch_size: pictures in one pass of a model.
        alpha: behind transparent pixels: "white", "black" or "drop".
        shard_rows: rows of one parquet file.
        retry_failed: score those rows again that have an error, such as a repaired picture.
        progress: called with the number of rows that were done since the last call.

    Raises:
        ConfigError: if `out` holds scores of the same name that were computed otherwise.
        DataError: if a key repeats or stands in `out` for another picture or prompt, or a reward
            needs prompts and the source has none.
    """
    _check(rows, rewards, batch_size, shard_rows)
    start = time.monotonic()
    with ExitStack() as stack:
        writer = stack.enter_context(ScoreTable(out).writing())
        for name, reward in rewards.items():
            writer.claim(name, configuration(reward, alpha), retry_failed=retry_failed)
            stack.enter_context(evaluating(reward))
        stack.enter_context(torch.no_grad())
        told = progress or (lambda n: None)
        run = stack.enter_context(_Run(writer, BatchScorer(rewards), shard_rows, told))
        fittings = {name: reward.fitting for name, reward in rewards.items()}
        for batch in batches(decoded(run.fresh(rows), alpha, batch_size, fittings), batch_size):
            run.score(batch)
        keep_in_table(Path(out), rewards)
    return run.summary(time.monotonic() - start)


def configuration(reward: Reward, alpha: Alpha) -> dict[str, object]:
    """What decides a reward's numbers: class, options, weights, version, and the alpha rule."""
    return {
        "reward": reward.card.name,
        "class": f"{type(reward).__module__}:{type(reward).__qualname__}",
        "options": reward.deciding(),
        "weights": weights_hash(reward),
        "alpha": alpha,
        "beholder": beholder.__version__,
    }


def weights_hash(reward: Reward) -> str:
    """SHA-256 of the names, types and values of a reward's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(reward.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check(
    rows: Iterable[Row], rewards: Mapping[str, Reward], batch_size: int, shard_rows: int
) -> None:
    if not rewards:
        raise ConfigError("name at least one reward, as -r mps does; `beholder rewards` lists them")
    for name in rewards:
        check_reward_name(name)
    if batch_size < 1 or shard_rows < 1:
        raise ConfigError(
            f"batch_size and shard_rows must be 1 or more, got {batch_size} and {shard_rows}"
        )
    needy = [name for name, reward in rewards.items() if reward.card.needs_prompt]
    if needy and isinstance(rows, Inputs) and not rows.has_prompts:
        raise DataError(
            f"{', '.join(needy)} needs prompts, but {rows.source} has none; add a prompt column "
            "or .txt files beside the pictures, or give a file of prompts"
        )


@dataclass(slots=True)
class _Run:
    """Scores batches, gathers shards, counts; leaving it writes what was gathered."""

    writer: TableWriter
    scorer: BatchScorer
    shard_rows: int
    progress: Callable[[int], object]
    inputs: list[dict[str, object]] = field(default_factory=list)
    keys: dict[str, list[str]] = field(default_factory=dict)
    cells: dict[str, Column] = field(default_factory=dict)
    errors: dict[str, Counter[str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    rows: int = 0
    skipped: int = 0
    failed: int = 0
    flushed: float = field(default_factory=time.monotonic)

    def __enter__(self) -> _Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.flush()

    def fresh(self, rows: Iterable[Row]) -> Iterator[Task]:
        """Rows that a reward still lacks."""
        for row in rows:
            if row.key in self.seen:
                raise DataError(f"key {row.key!r} occurs twice in the input; keys must be unique")
            self.seen.add(row.key)
            self.rows += 1
            known = self.writer.knows(as_input(row))
            lacking = [n for n in self.scorer.rewards if not known or self.writer.needs(n, row.key)]
            if lacking:
                yield Task(row, frozenset(lacking))
            else:
                self.skipped += 1
                self.progress(1)

    def score(self, batch: Sequence[Decoded]) -> None:
        """Score one batch by every reward that lacks a row of it."""
        failed: set[str] = set()
        for name, cells in self.scorer.score(batch).items():
            keys = [task.row.key for task, _ in batch if name in task.rewards]
            self.keys.setdefault(name, []).extend(keys)
            self.cells.setdefault(name, Column()).cells.extend(cells)
            failed |= {key for key, cell in zip(keys, cells, strict=True) if cell["error"]}
        self.failed += len(failed)
        self.inputs += [as_input(task.row) for task, _ in batch]
        self.progress(len(batch))
        if len(self.inputs) >= self.shard_rows or time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered: inputs first, so that no score stands without its row."""
        self.writer.add_inputs([row for row in self.inputs if not self.writer.knows(row)])
        self.inputs.clear()
        for name in list(self.cells):
            cells = self.cells.pop(name)
            self.errors.setdefault(name, Counter()).update(cells.errors())
            self.writer.add_scores(name, {"key": self.keys.pop(name), **cells.columns(name)})
        self.flushed = time.monotonic()

    def summary(self, seconds: float) -> Summary:
        """The counts so far."""
        return Summary(
            rows=self.rows,
            scored=self.rows - self.skipped,
            skipped=self.skipped,
            failed=self.failed,
            errors={name: dict(sorted(codes.items())) for name, codes in self.errors.items()},
            seconds=seconds,
        )


def as_input(row: Row) -> dict[str, object]:
    """What a table says of a row beside its scores."""
    return {**row.extra, "key": row.key, "image": row.name, "prompt": row.prompt}
