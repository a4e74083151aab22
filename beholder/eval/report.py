"""One self-contained HTML page about a reward: accuracy, ranking, pictures, masks, faults.

The page asks nothing of the network, runs no script and opens from any folder.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from beholder._page.document import write_whole
from beholder._page.feedback import PictureFeedback as PictureFeedback
from beholder._page.thumbnails import Fit as Fit
from beholder.errors import DataError
from beholder.eval._report.page import render
from beholder.eval._report.selection import best_and_worst as best_and_worst
from beholder.eval._report.selection import disagreements as disagreements
from beholder.eval._report.shown import AccuracyRow as AccuracyRow
from beholder.eval._report.shown import Disagreement as Disagreement
from beholder.eval._report.shown import ExplainedPicture as ExplainedPicture
from beholder.eval._report.shown import FilterSummary as FilterSummary
from beholder.eval._report.shown import RankRow as RankRow
from beholder.eval._report.shown import Report as Report
from beholder.eval._report.shown import ScoredPicture as ScoredPicture
from beholder.eval._report.shown import Unread as Unread

MOST_PICTURES = 160
"""Most drawings on one page; that many photographs make about 3 MB, pure noise four times that."""

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


def write_report(report: Report, path: str | os.PathLike[str]) -> Path:
    """The path of the page, written whole or not at all.

    A picture that cannot be read becomes a card that says why. Raises DataError if the report
    draws more than `MOST_PICTURES` pictures.
    """
    drawn = sum(1 for _ in report.images())
    if drawn > MOST_PICTURES:
        raise DataError(
            f"the report draws {drawn} pictures, at most {MOST_PICTURES} fit on one page; "
            "show fewer with `count`"
        )
    return write_whole(Path(path), render(report))


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
    pictures: list[ScoredPicture] = []
    unread: list[Unread] = []
    for row in rows:
        if why := _error(row, reward):
            unread.append(_unread(row, why))
        else:
            pictures.append(_scored(row, reward, group))
    best, worst = best_and_worst(pictures, by=by, count=count)
    return Report(
        title=title or f"What {reward} sees",
        protocol={"reward": reward, "pictures": f"{len(pictures) + len(unread):,}"},
        best=best,
        worst=worst,
        distributions=_distributions(pictures),
        unread=unread,
    )


def _error(row: Mapping[str, object], reward: str) -> str:
    """Why a row has no score; "" if it has one. Raises DataError if it was never asked for one."""
    if why := row.get(f"{reward}.error") or row.get("error"):
        return str(why)
    if f"{reward}.total" not in row:
        known = ", ".join(sorted(name for name in row if name.endswith(".total"))) or "none"
        raise DataError(f"row {row.get('key')!r} has no {reward}.total; the table has {known}")
    total = row[f"{reward}.total"]
    if isinstance(total, int | float) and math.isfinite(total):
        return ""
    return f"non-finite: the score is {total}"


def _unread(row: Mapping[str, object], why: str) -> Unread:
    code, separator, reason = why.partition(": ")
    if not separator:
        code, reason = "error", why
    return Unread(name=str(row.get("image", row.get("key", ""))), code=code, reason=reason)


def _scored(row: Mapping[str, object], reward: str, group: str | None) -> ScoredPicture:
    prefix = f"{reward}."
    scores = {
        name.removeprefix(prefix): float(value)
        for name, value in row.items()
        if name.startswith(prefix) and isinstance(value, int | float)
    }
    image = str(row["image"])
    return ScoredPicture(
        image=image,
        prompt=str(row.get("prompt") or ""),
        total=scores.pop("total"),
        aspects=scores,
        name=Path(image).name,
        group="" if group is None else str(row.get(group, "")),
    )


def _distributions(pictures: Sequence[ScoredPicture]) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for picture in pictures:
        scores = found.setdefault(picture.group or "all pictures", {})
        for aspect, value in (picture.aspects or {"total": picture.total}).items():
            scores.setdefault(aspect, []).append(value)
    return found
