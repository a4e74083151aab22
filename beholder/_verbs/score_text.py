"""What `beholder score` tells a person of a sharded run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from beholder._terminal import one_line
from beholder._verbs.reasons import in_words

if TYPE_CHECKING:
    from beholder.rewards.sharded.running import ShardedSummary
    from beholder.rewards.sharded.verifying import Verified

_SHOWN = 10


def sharded_text(summary: ShardedSummary, out: str) -> str:
    """How many shards and rows are done, which were given up, and why rows have no score."""
    before, now = summary.done_before, summary.scored
    lines = [
        f"{out}: {summary.rows} rows in {before + now} of {summary.shards} shards; shards: {now} "
        f"scored now, {before} before, {len(summary.failed)} given up, {summary.seconds:.1f} s"
    ]
    return "\n".join([*lines, *_errors(summary.errors), *_reasons("given up", summary.failed)])


def verified_text(found: Verified, out: str) -> str:
    """Whether every input has its row, and what is wrong if not."""
    verdict = "every input has its row" if found.is_sound else "not every input has its row"
    there = found.shards - len(found.missing)
    lines = [f"{out}: {verdict}; {found.rows} rows in {there} of {found.shards} shards"]
    if found.changed:
        lines.append(f"  the source is not as planned: {one_line(found.changed)}")
    lines += _names("missing", found.missing)
    lines += _reasons("given up", found.failed)
    lines += _reasons("not in order", found.faults)
    lines += _names("key in several shards", found.repeated)
    lines += _names("not in the plan", found.strange)
    if found.missing:
        lines.append("  the command that scored them goes on with what is missing")
    return "\n".join([*lines, *_errors(found.errors)])


def _errors(errors: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"  {reward}: {count} {in_words(code)}"
        for reward, codes in errors.items()
        for code, count in codes.items()
    ]


def _reasons(what: str, found: Mapping[str, str]) -> list[str]:
    return _names(what, [f"{name}: {one_line(why)}" for name, why in found.items()])


def _names(what: str, names: Sequence[str]) -> list[str]:
    lines = [f"  {what}: {name}" for name in names[:_SHOWN]]
    more = len(names) - _SHOWN
    return [*lines, f"  {what}: {more} more; see --json"] if more > 0 else lines
