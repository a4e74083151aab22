"""What a filter did as a sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beholder._notebook.plain import counted
from beholder._notebook.sheet import Cell, Sheet

if TYPE_CHECKING:
    from beholder.eval.filtering import FilterSummary


def filter_sheet(done: FilterSummary) -> Sheet:
    """How many rows were kept, and why the others were dropped, the commonest reason first."""
    reasons = sorted(done.reasons.items(), key=lambda item: -item[1])
    rows: list[list[Cell]] = [[why, count] for why, count in reasons]
    notes = [f"{name}: {value}" for name, value in done.protocol.items()]
    missing = ", ".join(f"{count:,} {code}" for code, count in done.missing.items())
    if done.pictures_missing:
        notes.insert(0, f"kept without their picture: {done.pictures_missing:,} ({missing})")
    return Sheet(
        title=f"{done.kept:,} of {counted(done.rows, 'row')} kept, {done.dropped:,} dropped",
        header=["dropped for", "rows"],
        rows=rows,
        notes=notes,
    )
