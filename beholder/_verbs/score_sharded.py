"""How `beholder score` runs shard by shard: its options, its progress, its exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from beholder import _terminal as terminal
from beholder._verbs import score_text as texts
from beholder.errors import ConfigError
from beholder.storage import is_remote

if TYPE_CHECKING:
    from beholder.rewards.sharded.running import ShardedSummary
    from beholder.rewards.sharded.verifying import Verified


_OPTIONS = {"address": "ray-address", "gpus": "gpus-per-worker", "most-workers": "workers"}
"""Settings whose options are named otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command line, as far as a sharded run reads it."""

    pictures: str
    prompts: str | None
    rewards: Sequence[str]
    settings: Sequence[str]
    out: str
    verify: bool
    json: bool
    count_sources: bool | None = None


def pool(workers: str | None) -> dict[str, int | None]:
    """`workers` and `most_workers` of "4" or, for a pool that grows, "2:16"."""
    if workers is None:
        return {}
    least, sign, most = workers.partition(":")
    if not least.isdecimal() or (sign and not most.isdecimal()):
        raise ConfigError(f"--workers takes a number, or 2:16 for a pool; got {workers!r}")
    return {"workers": int(least), "most_workers": int(most) if sign else None}


def reward_specs(
    specs: Sequence[str], settings: Sequence[str]
) -> dict[str, tuple[str, Mapping[str, object]]]:
    """Column -> what to load, and with which options; workers load, not this process."""
    pairs = [terminal.split_spec(spec) for spec in specs]
    columns = [column for column, _ in pairs]
    if twice := {column for column in columns if columns.count(column) > 1}:
        raise ConfigError(f"two rewards would share the columns {twice.pop()!r}; name one NAME=...")
    options = terminal.split_settings(settings, columns)
    return {column: (spec, options.get(column, {})) for column, spec in pairs}


def refuse_without_engine(asked: Asked, given: Mapping[str, object]) -> None:
    """Raise ConfigError if a command line without --engine asks for what only engines do."""
    from beholder.rewards.sharded.running import is_sharded  # noqa: PLC0415

    if is_remote(asked.out):
        raise ConfigError(f"a table grows on a disk; to write to {asked.out}, give an --engine")
    if is_sharded(asked.out):
        raise ConfigError(
            f"{asked.out} holds a run that was scored shard by shard; go on with --engine, or "
            "write to another folder"
        )
    unread = ["verify"] * asked.verify + [name.replace("_", "-") for name in given]
    unread += ["count-sources"] * (asked.count_sources is not None)
    if unread:
        raise ConfigError(f"--{_OPTIONS.get(unread[0], unread[0])} needs --engine")


def score_sharded(asked: Asked, engine: str, settings: Mapping[str, Any]) -> None:
    """Score, verify if asked, tell, and leave with the exit code that is due."""
    from beholder.rewards.sharded.running import ShardedConfig, run_sharded  # noqa: PLC0415

    if asked.verify and engine == "ranks":
        raise ConfigError("a rank sees its own part; verify once all ranks ended: --verify alone")
    _refuse_uncounted(asked)
    config = ShardedConfig(engine=engine, **settings)
    rewards = reward_specs(asked.rewards, asked.settings)
    with _bar() as (advance, on_shard):
        summary = run_sharded(
            asked.pictures,
            rewards,
            asked.out,
            config,
            prompts=asked.prompts,
            progress=advance,
            on_shard=on_shard,
        )
    found = verified(asked) if asked.verify else None
    _tell(asked, summary, found)
    if found is not None:
        leave(found)
    if summary.is_complete:
        return
    if engine == "ranks":
        _note_of_rank(summary)
    else:
        raise typer.Exit(terminal.SOME_ROWS_FAILED)


def _note_of_rank(summary: ShardedSummary) -> None:
    """What is said instead of exit code 3, for which torchrun and SLURM would end other ranks."""
    rows = sum(sum(codes.values()) for codes in summary.errors.values())
    lost = len(summary.failed)
    terminal.note(f"{rows} scores missing, {lost} shards given up; --verify exits with 3")


def _refuse_uncounted(asked: Asked) -> None:
    if asked.count_sources is not None and not asked.verify:
        raise ConfigError("--count-sources needs --verify")


def verify_only(asked: Asked, others: Mapping[str, object]) -> None:
    """Verify a run that is there, tell, and leave with the exit code that is due.

    Args:
        asked: the command line.
        others: further options; who gives one wanted to score.
    """
    if not asked.verify or asked.rewards:
        raise ConfigError("name the pictures to score; --verify alone checks a run that is there")
    others = {**others, "prompts": asked.prompts, "set": asked.settings}
    if unread := [name.replace("_", "-") for name, value in others.items() if value]:
        option = _OPTIONS.get(unread[0], unread[0])
        raise ConfigError(f"--verify alone reads no --{option}; name the pictures to score")
    found = verified(asked)
    if asked.json:
        terminal.emit(found.as_dict())
    else:
        terminal.say(texts.verified_text(found, asked.out))
    leave(found)


def verified(asked: Asked) -> Verified:
    """What `verify` finds, with a bar over its shards."""
    from beholder.rewards.sharded.verifying import verify  # noqa: PLC0415

    with terminal.progress(None, "shards") as advance:
        if asked.count_sources is None:
            return verify(asked.out, progress=advance)
        return verify(asked.out, count_sources=asked.count_sources, progress=advance)


def leave(found: Verified) -> None:
    """Exit with 1 for a run that is not in order, with 3 where rows or given up shards lack scores.

    A shard that was given up is missing for a known reason.
    """
    lost = set(found.missing) - found.failed.keys()
    if lost or found.faults or found.repeated or found.strange or found.changed:
        raise typer.Exit(terminal.FAILED)
    if found.failed or any(sum(codes.values()) for codes in found.errors.values()):
        raise typer.Exit(terminal.SOME_ROWS_FAILED)


def _tell(asked: Asked, summary: ShardedSummary, found: Verified | None) -> None:
    if asked.json:
        verdict = {} if found is None else {"verified": found.as_dict()}
        terminal.emit({**summary.as_dict(), **verdict})
        return
    terminal.say(texts.sharded_text(summary, asked.out))
    if found is not None:
        terminal.say(texts.verified_text(found, asked.out))


@contextmanager
def _bar() -> Iterator[tuple[Callable[[int], object], Callable[[int, int], object]]]:
    """A bar in pictures, with the shards that are done behind it; nothing when piped."""
    from tqdm import tqdm  # noqa: PLC0415

    with tqdm(unit="pictures", unit_scale=True, disable=None, file=sys.stderr) as bar:

        def on_shard(done: int, shards: int) -> None:
            bar.set_postfix_str(f"{done}/{shards} shards")

        yield bar.update, on_shard
