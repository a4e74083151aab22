"""What `beholder score` tells a person of a sharded run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from beholder._terminal import one_line

if TYPE_CHECKING:
    from beholder.rewards.sharded.running import ShardedSummary
    from beholder.rewards.sharded.verifying import Verified

_SHOWN = 10


def sharded_text(summary: ShardedSummary, out: str) -> str:
    """How many shards and rows are done, which were given up, and why rows have no score."""
    lines = [
        f"{out}: {summary.rows} rows in {summary.done_before + summary.scored} of "
        f"{summary.shards} shards, {summary.scored} scored now, {summary.done_before} done before, "
        f"{len(summary.failed)} given up, {summary.seconds:.1f} s"
    ]
    return "\n".join([*lines, *_errors(summary.errors), *_reasons("given up", summary.failed)])


def verified_text(found: Verified, out: str) -> str:
    """Whether every input has its row, and what is wrong if not."""
    verdict = "every input has its row" if found.is_sound else "not every input has its row"
    lines = [f"{out}: {verdict}; {found.rows} rows in {found.shards} shards"]
    lines += _names("missing", found.missing)
    lines += _reasons("given up", found.failed)
    lines += _reasons("not in order", found.faults)
    lines += _names("key in several shards", found.repeated)
    lines += _names("not in the plan", found.strange)
    return "\n".join([*lines, *_errors(found.errors)])


def _errors(errors: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [f"  {r}: {n} {code}" for r, codes in errors.items() for code, n in codes.items()]


def _reasons(what: str, found: Mapping[str, str]) -> list[str]:
    return _names(what, [f"{name}: {one_line(why)}" for name, why in found.items()])


def _names(what: str, names: Sequence[str]) -> list[str]:
    lines = [f"  {what}: {name}" for name in names[:_SHOWN]]
    more = len(names) - _SHOWN
    return [*lines, f"  {what}: {more} more; see --json"] if more > 0 else lines
