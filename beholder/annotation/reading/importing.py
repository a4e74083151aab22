"""From a labelling server's export to data sets on disk, and how far the annotators agree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from beholder.annotation.forms.form import AnyRecord, find_form, load_form
from beholder.annotation.joining.aggregate import by_reliability, by_votes
from beholder.annotation.joining.feedback import aggregate_ratings, write_feedback
from beholder.annotation.joining.heatmaps import PAPER
from beholder.annotation.mapping import AnyTask, write_mapping
from beholder.annotation.reading.label_studio import ImportReport, Problem, parse_tasks, read_export
from beholder.annotation.reading.pictures import is_elsewhere, is_on_server
from beholder.annotation.records.dataset import (
    write_comparisons,
    write_preferences,
    write_ratings,
)
from beholder.errors import AnnotationError
from beholder.types import Comparison, Rating

_MAPPING = "mapping.jsonl"
Aggregate = Literal["votes", "reliability"]
Record = TypeVar("Record", bound=AnyRecord)


def import_export(
    exports: Sequence[Path],
    out: Path,
    *,
    mapping: Path | None = None,
    images_root: Path | None = None,
    aggregate: Aggregate = "votes",
    embed: bool = False,
    salt: str | None = None,
    notice: str = "",
) -> ImportReport:
    """Write out/comparisons and out/preferences, or out/ratings and out/feedback; out/report.json.

    The tasks themselves tell which form asked. A record whose picture is no file stays in its
    data set with the flag "missing_picture", does not count and is named in the report.

    Args:
        exports: JSON exports of Label Studio, of one form, oldest first.
        out: the folder to write; a copy of the mapping is kept there for `read_judgements`.
        mapping: what was asked, as `read_mapping` reads it.
        images_root: the folder that the server's picture addresses are relative to.
        aggregate: how annotators of pairs are joined: `by_votes` or `by_reliability`. Ratings are
            averaged; see `aggregate_ratings`.
        embed: store the pictures inside out/preferences or out/feedback.
        salt: makes annotators' ids unguessable.
        notice: what a reader of the data must know first; the cards open with it.

    Raises:
        AnnotationError: if an export or the mapping cannot be read, no picture exists, or ratings
            are to be joined by reliability.
    """
    if not exports:
        raise AnnotationError("no export given; export the project from Label Studio as JSON")
    root = images_root.absolute() if images_root else None
    tasks = [task for path in exports for task in read_export(path)]
    form = find_form(task.get("data") for task in tasks if isinstance(task, dict))
    if form.record is Rating and aggregate != "votes":
        raise AnnotationError(f"ratings are averaged; they cannot be joined by {aggregate}")
    asked = form.read_mapping(mapping, root) if mapping else None
    records, report = flag_missing(
        *parse_tasks(tasks, form, mapping=asked, images_root=root, salt=salt)
    )
    report = _write_aggregate(records, report, out, aggregate, embed=embed, notice=notice)
    write_records(records, report, out, notice=notice)
    _keep_mapping(asked, out)
    return report


def write_records(
    records: Sequence[AnyRecord], report: ImportReport, out: Path, *, notice: str = ""
) -> None:
    """Write what `parse_tasks` gave: out/comparisons or out/ratings, and out/report.json."""
    if load_form(report.template).record is Rating:
        write_ratings(_ratings(records), out / "ratings", notice=notice)
    else:
        write_comparisons(_comparisons(records), out / "comparisons", notice=notice)
    text = json.dumps(report.as_json(), indent=1, ensure_ascii=False)
    (out / "report.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def flag_missing(
    records: Sequence[Record], report: ImportReport
) -> tuple[list[Record], ImportReport]:
    """Flag records of pictures that are no file as "missing_picture"; the report names them.

    Raises AnnotationError if pictures should be files and none is.
    """
    images = {image: r.key for r in records for image in _pictures(r) if not is_elsewhere(image)}
    local = [image for image in images if not is_on_server(image)]
    missing = {image for image in local if not _is_file(image)}
    if missing and len(missing) == len(local):
        raise AnnotationError(
            f"none of the {len(local)} pictures is a file, such as {local[0]!r}; "
            "give the folder that they are relative to (images_root)"
        )
    flagged = [
        replace(r, flags=r.flags | {"missing_picture"}) if missing.intersection(_pictures(r)) else r
        for r in records
    ]
    lost = [Problem(images[i], "", f"picture {i!r} is no file") for i in sorted(missing)]
    count = sum("missing_picture" in r.flags for r in flagged)
    return flagged, replace(
        report,
        clean=sum(not r.flags for r in flagged),
        flags={**report.flags, **({"missing_picture": count} if count else {})},
        problems=(*report.problems, *lost),
        missing_pictures=tuple(sorted(missing)),
        pictures_on_server=len(images) - len(local),
    )


def _write_aggregate(
    records: Sequence[AnyRecord],
    report: ImportReport,
    out: Path,
    aggregate: Aggregate,
    *,
    embed: bool,
    notice: str,
) -> ImportReport:
    if load_form(report.template).record is Rating:
        notice = "\n\n".join(filter(None, [notice, str(PAPER)]))
        feedback = aggregate_ratings(_ratings(records))
        write_feedback(feedback, out / "feedback", embed=embed, notice=notice)
        return report
    if aggregate == "votes":
        preferences = by_votes(_comparisons(records))
    else:
        weighted = by_reliability(_comparisons(records))
        preferences = list(weighted.preferences)
        report = replace(report, reliability=weighted.reliability)
    write_preferences(preferences, out / "preferences", embed=embed, notice=notice)
    return report


def _comparisons(records: Sequence[AnyRecord]) -> list[Comparison]:
    return [record for record in records if isinstance(record, Comparison)]


def _ratings(records: Sequence[AnyRecord]) -> list[Rating]:
    return [record for record in records if isinstance(record, Rating)]


def _pictures(record: AnyRecord) -> tuple[str, ...]:
    return record.images if isinstance(record, Comparison) else (record.image,)


def _is_file(image: str) -> bool:
    try:
        return Path(image).is_file()
    except (OSError, ValueError):
        return False


def _keep_mapping(asked: Mapping[str, AnyTask] | None, out: Path) -> None:
    if asked is None:
        (out / _MAPPING).unlink(missing_ok=True)
    else:
        write_mapping(asked.values(), out / _MAPPING)
