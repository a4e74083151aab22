"""What the verb filter tells a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from beholder._terminal import one_line

if TYPE_CHECKING:
    from beholder.eval.filtering import FilterSummary


def filter_text(summary: FilterSummary, out: Path | None) -> str:
    """How many rows were kept, and why the others were not; `out` is None of a dry run."""
    ordered = sorted(summary.reasons.items(), key=lambda item: (-item[1], item[0]))
    place = "dry run, nothing written" if out is None else str(out)
    lines = [f"{place}: {summary.kept} of {summary.rows} rows kept, {summary.dropped} dropped"]
    lines += [f"  {count} {one_line(reason)}" for reason, count in ordered]
    if summary.pictures_missing:
        why = ", ".join(f"{count} {one_line(code)}" for code, count in summary.missing.items())
        lines.append(
            f"{summary.pictures_missing} kept pictures could not be brought along"
            + (f": {why}" if why else "")
        )
    return "\n".join(lines)
