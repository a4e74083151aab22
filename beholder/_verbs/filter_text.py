"""What the verb filter tells a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from beholder._terminal import one_line
from beholder._verbs.reasons import in_words

if TYPE_CHECKING:
    from beholder.eval.filtering import FilterSummary


def filter_text(summary: FilterSummary, out: Path | None) -> str:
    """How many rows were kept, why the others were not, and what likeness was found with.

    `out` is None of a dry run.
    """
    ordered = sorted(summary.reasons.items(), key=lambda item: (-item[1], item[0]))
    place = "dry run, nothing written" if out is None else str(out)
    lines = [f"{place}: {summary.kept} of {summary.rows} rows kept, {summary.dropped} dropped"]
    lines += [f"  {count} {one_line(in_words(reason))}" for reason, count in ordered]
    lines += [f"{name}: {one_line(said)}" for name, said in summary.likeness_told.items()]
    if summary.pictures_missing:
        counts = summary.missing.items()
        why = ", ".join(f"{count} {one_line(in_words(code))}" for code, count in counts)
        lines.append(
            f"{summary.pictures_missing} kept pictures could not be brought along"
            + (f": {why}" if why else "")
        )
    return "\n".join(lines)


def nothing_kept(summary: FilterSummary) -> str:
    """What dropped every row, or most of them where several parts did together."""
    if not summary.rows:
        return "nothing is kept: the table has no rows"
    reason, count = min(summary.reasons.items(), key=lambda item: (-item[1], item[0]))
    many = f"all {count}" if count == summary.rows else f"{count} of {summary.rows}"
    return f"nothing is kept; {many} rows are dropped for: {one_line(in_words(reason))}"
