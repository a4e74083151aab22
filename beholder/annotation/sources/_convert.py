"""A public data set -> the data sets that training reads, with a report of what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import chain, islice
from pathlib import Path

from beholder.annotation.joining.aggregate import by_votes
from beholder.annotation.records.dataset import write_comparisons, write_preferences
from beholder.annotation.sources._source import Check, Source, SourceCard, Tally, check_counts
from beholder.errors import AnnotationError
from beholder.types import Comparison, Feedback


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What became of the rows of a published split.

    Attributes:
        card: what is published about the data set.
        tally: what was read, what came out, what was left out and why.
        preferences: pairs with a counted answer; 0 if the records are feedback.
        checks: published counts beside those found; none if only the first records were taken.
        limit: how many records were taken at most; None for all.
        options: of the reader that are not its defaults.
    """

    card: SourceCard
    split: str
    tally: Tally
    preferences: int = 0
    checks: Sequence[Check] = ()
    limit: int | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The same as plain JSON values; each check also says whether it agrees."""
        card, tally = self.card, self.tally
        return {
            "source": card.name,
            "split": self.split,
            "limit": self.limit,
            "options": {key: str(value) for key, value in self.options.items()},
            "paper": card.paper,
            "licence": card.licence,
            "ties_rule": card.ties,
            "rows": tally.rows,
            "records": tally.records,
            "pairs": tally.pairs,
            "ties": tally.ties,
            "preferences": self.preferences,
            "left_out": dict(tally.left_out),
            "notes": dict(tally.notes),
            "examples": tally.examples,
            "checks": [{**asdict(check), "agrees": check.agrees} for check in self.checks],
        }


def convert(
    source: Source,
    place: str | Path | None,
    split: str,
    out: Path,
    *,
    limit: int | None = None,
) -> SourceReport:
    """Write a published split as data sets below `out`, and out/report.json; gives the report.

    Comparisons go to out/comparisons and, joined by votes, out/preferences; feedback goes to
    out/feedback. Feedback is streamed; comparisons are all in memory, about 2.5 GB for a
    million pairs, because the card of a data set states the agreement of all of them.

    Args:
        source: as from `load`.
        place: a folder or hub repository; None is the published one, as for `Source.records`.
        split: one of the card's splits.
        out: the folder to write.
        limit: takes only the first so many records, and checks no published count.

    Raises:
        ConfigError: if there is no such split.
        AnnotationError: if a file is missing or damaged, or no row gives a record.
    """
    tally = Tally()
    records = iter(islice(source.records(place, split, tally), limit))
    first = next(records, None)
    if first is None:
        raise AnnotationError(f"{source.card.name}, {split}: {_nothing(tally)}")
    write = _write_feedback if isinstance(first, Feedback) else _write_comparisons
    preferences = write(chain([first], records), out, _notice(source.card, split))
    checks = check_counts(source.card, split, tally) if limit is None else []
    report = SourceReport(
        card=source.card,
        split=split,
        tally=tally,
        preferences=preferences,
        checks=checks,
        limit=limit,
        options=_options(source),
    )
    text = json.dumps(report.as_json(), indent=1, ensure_ascii=False)
    (out / "report.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return report


def _options(source: Source) -> dict[str, object]:
    """Options of a reader that were given; where pictures are unpacked moves no record."""
    given = {each.name: getattr(source, each.name) for each in fields(source)}  # type: ignore[arg-type]
    defaults = {each.name: each.default for each in fields(source)}  # type: ignore[arg-type]
    return {k: v for k, v in given.items() if v != defaults[k] and k != "pictures"}


def _write_comparisons(records: Iterable[object], out: Path, notice: str) -> int:
    comparisons = [record for record in records if isinstance(record, Comparison)]
    write_comparisons(comparisons, out / "comparisons", notice=notice)
    preferences = by_votes(comparisons)
    write_preferences(preferences, out / "preferences", notice=notice)
    return len(preferences)


def _write_feedback(records: Iterable[object], out: Path, notice: str) -> int:
    from beholder.annotation.joining.feedback import write_feedback  # noqa: PLC0415

    feedback: Iterator[Feedback] = (r for r in records if isinstance(r, Feedback))
    write_feedback(feedback, out / "feedback", notice=notice)
    return 0


def _notice(card: SourceCard, split: str) -> str:
    return (
        f"The split `{split}` of `{card.name}` ({card.paper}; `{card.repository}`), converted. "
        f"Licence of the annotations: {card.licence}. {card.ties}"
    )


def _nothing(tally: Tally) -> str:
    why = "; ".join(f"{n} times {reason}" for reason, n in tally.left_out.most_common(3))
    return f"none of {tally.rows} rows gives a record" + (f" ({why})" if why else "")
