"""One self-contained HTML page about a reward: checkpoints, pictures, maps, people, faults.

The page asks nothing of the network and opens from any folder. Its own script, which its policy
names by hash, sorts, filters, enlarges and compares pictures; all findings can be read without.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from beholder._page.document import write_whole
from beholder._page.feedback import PictureFeedback as PictureFeedback
from beholder._page.thumbnails import Fit as Fit
from beholder.errors import DataError
from beholder.eval._report.columns import (
    Columns,
    Names,
    in_memory,
    pictured,
    read_columns,
    rows_at,
)
from beholder.eval._report.page import MOST_BYTES, render
from beholder.eval._report.selection import best_and_worst as best_and_worst
from beholder.eval._report.selection import best_and_worst_rows
from beholder.eval._report.selection import disagreements as disagreements
from beholder.eval._report.shown import AccuracyRow as AccuracyRow
from beholder.eval._report.shown import Disagreement as Disagreement
from beholder.eval._report.shown import ExplainedPicture as ExplainedPicture
from beholder.eval._report.shown import FilterSummary as FilterSummary
from beholder.eval._report.shown import Gallery as Gallery
from beholder.eval._report.shown import Profile as Profile
from beholder.eval._report.shown import RankRow as RankRow
from beholder.eval._report.shown import Report as Report
from beholder.eval._report.shown import ScoredPicture as ScoredPicture
from beholder.eval._report.shown import Unread as Unread
from beholder.eval._report.shown import Values
from beholder.tables import score_parts

MOST_PICTURES = 160
"""Most drawings outside the gallery: photographs make about 3 MB, pure noise four times that."""

METHODS: Mapping[str, str] = {
    "mps": (
        "MPS: S. Zhang et al., Learning Multi-dimensional Human Preference for Text-to-Image "
        "Generation, CVPR 2024."
    ),
    "richhf": (
        "RichHF: Y. Liang et al., Rich Human Feedback for Text-to-Image Generation, CVPR 2024."
    ),
    "bradley-terry": (
        "Strength: R. A. Bradley and M. E. Terry, Rank Analysis of Incomplete Block Designs, "
        "Biometrika 39, 1952."
    ),
    "bootstrap": (
        "Intervals: B. Efron, Bootstrap Methods: Another Look at the Jackknife, "
        "Annals of Statistics 7, 1979."
    ),
    "clipscore": (
        "CLIPScore: J. Hessel et al., CLIPScore: A Reference-free Evaluation Metric for Image "
        "Captioning, EMNLP 2021."
    ),
}
"""Citations for `Report.methods`, by a short name."""


def write_report(
    report: Report, path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES
) -> Path:
    """The path of the page, written whole or not at all.

    A picture that cannot be read becomes a card that says why. Pictures of the gallery shrink, and
    then become fewer, until the page has at most `most_bytes`; it says how many are shown. Raises
    DataError if the report draws more than `MOST_PICTURES` pictures outside its gallery.
    """
    drawn = sum(1 for _ in report.images())
    if drawn > MOST_PICTURES:
        raise DataError(
            f"the report draws {drawn} pictures, at most {MOST_PICTURES} fit on one page; "
            "show fewer with `count`"
        )
    return write_whole(Path(path), render(report, most_bytes))


def report_from_table(
    rows: Iterable[Mapping[str, object]],
    *,
    reward: str,
    group: str | None = None,
    by: str = "total",
    title: str = "",
    count: int = 6,
) -> Report:
    """A report of a score table's rows: best and worst pictures, distributions, unread pictures.

    Use `dataclasses.replace` to add accuracy, ranking and the rest.

    Args:
        rows: columns key, image, prompt, "<reward>.total", "<reward>.<aspect>" and, for a row
            without scores, "<reward>.error" or "error".
        reward: whose columns are shown.
        group: the column that names the checkpoint; None takes all rows as one group.
        by: the aspect, or "total", that decides what is best and worst.
        title: the headline; "" names the reward.
        count: pictures on each side of best and worst.

    Raises:
        DataError: if the rows have no "<reward>.total".
    """
    listed = list(rows)
    present = list(dict.fromkeys(name for row in listed for name in row))
    names = Names(
        reward=reward, parts=score_parts(present, reward), group=group or "", table=present
    )
    parts = in_memory(listed, names)
    table = read_columns(parts, names)
    ends = best_and_worst_rows(table, by=by, count=count)
    found = dict(rows_at(parts, names.present(), [*ends[0], *ends[1]]))
    best, worst = ([pictured(found[row], names) for row in side] for side in ends)
    return base_report(table, names, best, worst, title=title)


def base_report(
    table: Columns,
    names: Names,
    best: Sequence[ScoredPicture],
    worst: Sequence[ScoredPicture],
    *,
    title: str = "",
) -> Report:
    """What every report of a table has."""
    return Report(
        title=title or f"What {names.reward} sees",
        reward=names.reward,
        protocol={"reward": names.reward, "pictures": f"{len(table):,}"},
        best=best,
        worst=worst,
        distributions=_distributions(table, names),
        unread=table.unread,
    )


def _distributions(table: Columns, names: Names) -> dict[str, dict[str, Values]]:
    """Checkpoint -> score -> its finite values; the total only where there are no aspects."""
    aspects = [name for name in names.parts if name != "total"]
    shown = [*(aspects or ["total"]), *names.others]
    found: dict[str, dict[str, Values]] = {}
    for group in table.groups:
        scores = {name: table.of(group, name) for name in shown}
        known: dict[str, Values] = {name: v for name, v in scores.items() if len(v)}
        if known:
            found[group or "all pictures"] = known
    return found
