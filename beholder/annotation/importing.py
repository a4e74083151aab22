"""From a labelling server's export to data sets on disk, and how far the annotators agree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from beholder.annotation.aggregate import by_reliability, by_votes
from beholder.annotation.agreement import AgreementReport, agreement
from beholder.annotation.dataset import read_comparisons, write_comparisons, write_preferences
from beholder.annotation.label_studio import ImportReport, Problem, parse_export, read_export
from beholder.annotation.mapping import TaskSides, read_mapping, write_mapping
from beholder.annotation.pictures import is_elsewhere, is_on_server
from beholder.errors import AnnotationError
from beholder.types import Comparison, Preference

_MAPPING = "mapping.jsonl"
Aggregate = Literal["votes", "reliability"]


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
    """Write out/comparisons, out/preferences and out/report.json; gives the report.

    A comparison whose picture is no file stays in out/comparisons with the flag
    "missing_picture", gives no preference and is named in the report.

    Args:
        exports: JSON exports of Label Studio's pairwise template, oldest first.
        out: the folder to write; a copy of the mapping is kept there for `agreement_report`.
        mapping: which picture stood on which side, as `read_mapping` reads it.
        images_root: the folder that the server's picture addresses are relative to.
        aggregate: how annotators are joined: `by_votes` or `by_reliability`.
        embed: store the pictures inside out/preferences.
        salt: makes annotators' ids unguessable.
        notice: what a reader of the data must know first; the cards open with it.

    Raises:
        AnnotationError: if an export or the mapping cannot be read, or no picture exists.
    """
    if not exports:
        raise AnnotationError("no export given; export the project from Label Studio as JSON")
    root = images_root.absolute() if images_root else None
    sides = read_mapping(mapping, TaskSides, root) if mapping else None
    tasks = [task for path in exports for task in read_export(path)]
    comparisons, report = parse_export(tasks, mapping=sides, images_root=root, salt=salt)
    comparisons, report = _flag_missing(comparisons, report)
    preferences, report = _aggregate(comparisons, report, aggregate)
    write_comparisons(comparisons, out / "comparisons", notice=notice)
    write_preferences(preferences, out / "preferences", embed=embed, notice=notice)
    _keep_mapping(sides, out)
    text = json.dumps(report.as_json(), indent=1, ensure_ascii=False)
    (out / "report.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return report


def agreement_report(folder: Path, *, seed: int = 0) -> AgreementReport:
    """Agreement of the annotators whose comparisons `import_export` wrote to `folder`."""
    path = folder / _MAPPING
    sides = read_mapping(path, TaskSides) if path.is_file() else {}
    right_first = [key for key, side in sides.items() if side.left_is == "b"]
    comparisons = read_comparisons(folder / "comparisons")
    return agreement(comparisons, right_first=right_first, seed=seed)


def _aggregate(
    comparisons: Sequence[Comparison], report: ImportReport, aggregate: Aggregate
) -> tuple[Sequence[Preference], ImportReport]:
    if aggregate == "votes":
        return by_votes(comparisons), report
    weighted = by_reliability(comparisons)
    return weighted.preferences, replace(report, reliability=weighted.reliability)


def _flag_missing(
    comparisons: Sequence[Comparison], report: ImportReport
) -> tuple[list[Comparison], ImportReport]:
    """Flag comparisons of pictures that are no file; the report names them."""
    images = {image: c.key for c in comparisons for image in c.images if not is_elsewhere(image)}
    local = [image for image in images if not is_on_server(image)]
    missing = {image for image in local if not _is_file(image)}
    if missing and len(missing) == len(local):
        raise AnnotationError(
            f"none of the {len(local)} pictures is a file, such as {local[0]!r}; "
            "give the folder that they are relative to (images_root)"
        )
    flagged = [
        replace(c, flags=c.flags | {"missing_picture"}) if missing.intersection(c.images) else c
        for c in comparisons
    ]
    lost = [Problem(images[i], "", f"picture {i!r} is no file") for i in sorted(missing)]
    count = sum("missing_picture" in c.flags for c in flagged)
    return flagged, replace(
        report,
        clean=sum(not c.flags for c in flagged),
        flags={**report.flags, **({"missing_picture": count} if count else {})},
        problems=(*report.problems, *lost),
        missing_pictures=tuple(sorted(missing)),
        pictures_on_server=len(images) - len(local),
    )


def _is_file(image: str) -> bool:
    try:
        return Path(image).is_file()
    except (OSError, ValueError):
        return False


def _keep_mapping(sides: Mapping[str, TaskSides] | None, out: Path) -> None:
    if sides is None:
        (out / _MAPPING).unlink(missing_ok=True)
    else:
        write_mapping(sides.values(), out / _MAPPING)
