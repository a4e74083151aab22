"""What the verbs of annotation tell a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from beholder._terminal import one_line

if TYPE_CHECKING:
    from beholder.annotation.asking.media import Refused
    from beholder.annotation.asking.next_batch import NextBatch
    from beholder.annotation.asking.plan import Planned
    from beholder.annotation.judgements import Aggregated
    from beholder.annotation.reading.label_studio import ImportReport
    from beholder.annotation.server.local import LocalServer
    from beholder.annotation.server.pull import Pulled
    from beholder.annotation.server.push import Pushed
    from beholder.annotation.sources import SourceReport

_SHOWN = 5
"""Examples of a kind of trouble; all are in the JSON."""


def server_text(server: LocalServer, link: str) -> str:
    """Where a server is, who owns it, how people join, and how to stop it."""
    return "\n".join(
        [
            f"Label Studio {server.version} is up at {server.url} (process {server.pid})",
            f"log in as {server.credentials.email}; the password is in "
            f"{server.folder / 'credentials.json'}",
            f"annotators sign up at {link}",
            f"stop it: beholder annotate down {server.folder}",
        ]
    )


def push_text(planned: Planned, pushed: Pushed | None, folder: Path) -> str:
    """What is asked, what was sent, and what nobody can be asked about."""
    new = [(planned.asked, "questions"), (planned.repeats, "repeats"), (planned.gold, "gold tasks")]
    return "\n".join(
        [
            f"{folder}: {planned.pictures} pictures, {planned.possible} possible questions; "
            f"{planned.before} tasks before, new: {_counts(new) or 'none'}",
            *_refused(planned.refused),
            *_sent(pushed),
        ]
    )


def pull_text(pulled: Pulled, folder: Path) -> str:
    """What is new, how far the project has come, and what became of every answer."""
    added = pulled.added
    changes = [
        (added.new, "new"),
        (added.changed, "changed"),
        (added.gone, "deleted on the server"),
    ]
    done = ", ".join(f"{n} with {answers}" for answers, n in pulled.tasks.items())
    return "\n".join(
        [
            f"{folder}: {_counts(changes) or 'nothing new'}",
            f"answers: {pulled.report.comparisons}, {pulled.report.clean} clean; tasks: {done}",
            *([f"  {pulled.foreign} tasks are not of this project"] if pulled.foreign else []),
            *_troubles(pulled.report, folder),
        ]
    )


def import_text(report: ImportReport, out: Path) -> str:
    """What became of the records of an export."""
    kind = "ratings" if report.template == "richhf" else "comparisons"
    return "\n".join(
        [
            f"{out}: {report.comparisons} {kind} of {report.tasks} tasks, {report.clean} clean",
            *_troubles(report, out),
        ]
    )


def aggregate_text(done: Aggregated, out: Path) -> str:
    """What many annotators say together, and whom the method trusts how far."""
    lines = [
        f"{out / done.kind}: {done.rows} rows of {done.counted} judgements that count; "
        f"{done.judgements - done.counted} do not"
    ]
    if done.copies:
        lines.append(
            f"  {done.copies} pictures are named by their copies; the originals are gone, changed "
            "or inside a data set"
        )
    for aspect, people in done.reliability.items():
        shown = ", ".join(f"{name} {value:.2f}" for name, value in sorted(people.items()))
        lines.append(f"  {aspect}: {shown}")
    return "\n".join(lines)


def next_text(batch: NextBatch, pushed: Pushed | None, folder: Path) -> str:
    """What was chosen from how much, and what was sent."""
    found = batch.selection
    drawn = sum(one.reason == "random" for one in found.chosen)
    learned = ", ".join(f"{name} {value:.3g}" for name, value in found.temperatures.items())
    return "\n".join(
        [
            f"{folder}: {batch.added} pairs added of {len(found.chosen)} chosen among "
            f"{found.candidates}, {drawn} at random",
            f"  learned from {found.judged} judgements; temperature: {learned or 'no reward'}",
            *(f"  {count} rows left out: {one_line(why)}" for why, count in batch.left_out.items()),
            *_refused(batch.refused),
            *_sent(pushed),
        ]
    )


def source_text(report: SourceReport, out: Path) -> str:
    """What became of the rows of a public data set, beside the published counts."""
    tally = report.tally
    pairs = [f"  {tally.pairs} pairs, {tally.ties} ties", f"  rule of ties: {report.card.ties}"]
    return "\n".join(
        [
            f"{out}: {tally.records} records of {tally.rows} rows",
            *(pairs if report.card.kind == "comparisons" else []),
            *_numbered(tally.left_out, "left out: "),
            *_numbered(tally.notes, ""),
            *(f"  {check}" for check in report.checks),
        ]
    )


def _troubles(report: ImportReport, out: Path) -> list[str]:
    rest = {
        "drafts ignored": report.drafts,
        "older versions replaced": report.superseded,
        "records unreadable": report.unreadable,
        "pictures missing": len(report.missing_pictures),
        "pictures still on the server; give --images": report.pictures_on_server,
    }
    lines = [f"  {count} {flag}" for flag, count in report.flags.items()]
    lines += [f"  {count} {text}" for text, count in rest.items() if count]
    if report.problems:
        lines.append(f"{len(report.problems)} problems, all in {out / 'report.json'}:")
        lines += [f"  {one_line(f'{p.task_key}: {p.reason}')}" for p in report.problems[:_SHOWN]]
    return lines


def _sent(pushed: Pushed | None) -> list[str]:
    if pushed is None:
        return []
    lines = [
        f"sent {pushed.sent} tasks, {pushed.before} were there before",
        f"annotators answer at {pushed.address}",
    ]
    odd = {"unanswered copies deleted": pushed.removed, "foreign tasks": pushed.foreign}
    return lines + [f"  {count} {text}" for text, count in odd.items() if count]


def _refused(refused: Iterable[Refused]) -> list[str]:
    lines = [f"  {one_line(f'{one.source}: {one.reason}')}" for one in refused]
    head = [f"{len(lines)} pictures cannot be asked about:"] if lines else []
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return head + lines[:_SHOWN] + more


def _numbered(counts: Mapping[str, int], kind: str) -> list[str]:
    return [f"  {count} {kind}{one_line(why)}" for why, count in counts.items()]


def _counts(parts: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{count} {name}" for count, name in parts if count)
