"""Which pictures to keep: a rule on the columns of a score table, the best of them, and reasons.

A row is kept if it has a value in every column that is asked about, fulfils the rule, is no copy
of a better one where that is asked, and is among the top of its group and within the budget. Every
other row is dropped with the first of these that it fails. Everything is decided on arrays of the
columns that the rule asks about; the rows themselves stream by, however many there are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beholder._tables.shards import inferred
from beholder.calibration import Calibration
from beholder.errors import ConfigError, DataError
from beholder.eval._filter.carding import Told, card_of
from beholder.eval._filter.decision import REASON, Decision
from beholder.eval._filter.distinct import Distinct as Distinct
from beholder.eval._filter.distinct import Likeness, keep_distinct
from beholder.eval._filter.judging import Judged, judge
from beholder.eval._filter.protocol import told
from beholder.eval._filter.ranked import keep_budget, keep_top
from beholder.eval._filter.rule import Asked
from beholder.eval._filter.rule import Rule as Rule
from beholder.eval._filter.scored import ScoredRows
from beholder.eval._filter.writing import write_rows
from beholder.eval._sheets.filtering import filter_sheet
from beholder.eval.filter_card import filter_card
from beholder.eval.filter_outputs import PICTURES as PICTURES
from beholder.eval.filter_outputs import write_pictures
from beholder.tables import ScoreTable

if TYPE_CHECKING:
    import pyarrow as pa

PICTURE = "picture"
"""The column that says where a kept picture is."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSummary:
    """What a filter did.

    Attributes:
        rows, kept, dropped: numbers of rows; the latter two add up to the first.
        reasons: reason, or code of an error -> rows that it dropped.
        pictures_missing: kept rows whose picture could not be brought along.
        rule: what was asked.
        missing: code of the reason -> such pictures.
        scores: reward -> SHA-256 of what its scores were computed with.
        likeness: what near-duplicates and pictures of an evaluation set were found with.
        calibrations: reward -> SHA-256 of the calibration that its win probabilities come from.
    """

    rows: int
    kept: int
    dropped: int
    reasons: Mapping[str, int]
    pictures_missing: int
    rule: Rule
    missing: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, str] = field(default_factory=dict)
    likeness: Mapping[str, Any] = field(default_factory=dict)
    calibrations: Mapping[str, str] = field(default_factory=dict)

    @property
    def protocol(self) -> dict[str, str]:
        """What it was made with, name -> value, for people."""
        return {
            **{f"scores of {name}": digest[:12] for name, digest in self.scores.items()},
            **{f"calibration of {name}": d[:12] for name, d in self.calibrations.items()},
            **self.likeness_told,
        }

    @property
    def likeness_told(self) -> dict[str, str]:
        """The part of it that is about likeness."""
        return told(self.likeness)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON-ready values."""
        return asdict(self)

    def __repr__(self) -> str:
        return filter_sheet(self).text()

    def _repr_html_(self) -> str:
        return filter_sheet(self).html()


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What is written of a filter, and how.

    Attributes:
        pictures: what becomes of the kept ones: "none", or see `eval.filter_outputs`.
        per_shard: pictures in one tar or parquet file.
        jsonl: whether rows are written as JSON lines too, which takes longer than all else.
        card: whether `card.html` is written: counts, histograms, pictures at the boundary.
        command: a shell line that repeats the filter, for the card.

    Raises ConfigError if `pictures` is unknown.
    """

    pictures: str = "none"
    per_shard: int = 1000
    jsonl: bool = True
    card: bool = True
    command: str = ""

    def __post_init__(self) -> None:
        if self.pictures not in PICTURES:
            raise ConfigError(
                f"pictures must be one of {', '.join(PICTURES)}, got {self.pictures!r}"
            )


@dataclass(frozen=True, slots=True)
class Decided:
    """What a filter decided, before anything is written."""

    table: ScoreTable
    rule: Rule
    asked: Asked
    judged: Judged
    decision: Decision
    likeness: Likeness
    calibrations: Mapping[str, str]

    def summary(self, missing: Mapping[str, int] | None = None) -> FilterSummary:
        """The counts; `missing` pictures by the code of the reason."""
        kept = int(self.decision.kept.sum())
        gone = missing or {}
        return FilterSummary(
            rows=len(self.decision),
            kept=kept,
            dropped=len(self.decision) - kept,
            reasons=self.decision.counts(),
            pictures_missing=sum(gone.values()),
            rule=self.rule,
            missing=dict(sorted(gone.items())),
            scores={name: _hash(self.table.config(name)) for name in self.table.rewards},
            likeness=self.likeness.protocol,
            calibrations=self.calibrations,
        )


def select(rows: Iterable[Row], rule: Rule) -> list[str | None]:
    """For each row None if it is kept, otherwise why not; same rows, same answer.

    Raises ConfigError if the rule mixes texts and numbers.
    """
    held = _HeldRows(list(rows))
    if not held.columns:
        return []
    decision = _ranked(judge(held, rule.asked(held.columns), held.columns), rule).decision(held)
    dropped = (why for part in decision.dropped_parts() for why in part[REASON].to_pylist())
    return [None if is_kept else next(dropped) for is_kept in decision.kept.tolist()]


def default_score(table: ScoreTable) -> str:
    """The total of the table's only reward; ConfigError if there are several."""
    totals = [name for name in table.columns if name.endswith(".total")]
    if len(totals) != 1:
        raise ConfigError(f"name the column that counts, one of: {', '.join(totals) or 'none'}")
    return totals[0]


def decide(
    table: ScoreTable,
    rule: Rule,
    *,
    distinct: Distinct | None = None,
    calibrations: Mapping[str, Calibration] | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> Decided:
    """Which rows of a table a rule keeps; nothing is written.

    Args:
        table: scores.
        rule: what is kept.
        distinct: which likeness drops a row; None for none.
        calibrations: of rewards; they add win probabilities to the columns, see `eval.win_columns`.
        progress: called with the number of rows judged, and of pictures embedded, since last.

    Raises:
        ConfigError: if the rule names an unknown column or mixes texts and numbers.
        DataError: if the table, an evaluation set or embeddings cannot be read.
    """
    rows = ScoredRows(table, calibrations or {})
    asked = rule.asked(rows.columns)
    rows.check(asked.columns, asked.equated)
    judged = judge(rows, asked, rows.columns, progress)
    likeness = keep_distinct(judged, rows, distinct, progress) if distinct else Likeness()
    _ranked(judged, rule)
    used = {name: _sha256(made.to_json()) for name, made in rows.used(asked.columns).items()}
    return Decided(table, rule, asked, judged, judged.decision(rows), likeness, used)


def filter_table(
    table: ScoreTable,
    rule: Rule,
    out: str | os.PathLike[str],
    *,
    pictures: str = "none",
    calibrations: Mapping[str, Calibration] | None = None,
) -> FilterSummary:
    """Keep rows of a table by a rule and write what was kept, what was dropped, and why.

    See `decide` and `write_decided`, which this calls one after the other.

    Raises:
        ConfigError: if the rule names an unknown column or mixes texts and numbers.
        DataError: if `out` holds something already, or pictures cannot be brought to it.
    """
    output = Output(pictures=pictures)
    refuse_full(out)
    return write_decided(decide(table, rule, calibrations=calibrations), out, output)


def refuse_full(out: str | os.PathLike[str]) -> None:
    """Raise DataError if a folder holds something already."""
    place = Path(out)
    if place.exists() and (place.is_file() or any(place.iterdir())):
        raise DataError(f"{place} is not empty; give a new folder")


def write_decided(
    decided: Decided, out: str | os.PathLike[str], output: Output = Output()
) -> FilterSummary:
    """Write what a filter decided; the folder appears when all is written.

    It gets `kept` and `dropped` as parquet and as JSON lines, each row with its columns and dropped
    ones with their `reason`, `summary.json` and `card.html`. The column `picture` tells where the
    kept pictures are that were brought along. The same decision writes the same bytes.

    Raises DataError if `out` holds something already, or pictures cannot be brought to it.
    """
    refuse_full(out)
    decision = decided.decision
    with _appearing(Path(out)) as folder:
        kept, missing = decision.kept_parts(), {}
        if output.pictures != "none":
            written = write_pictures(
                decision.kept_parts(), folder, output.pictures, per_shard=output.per_shard
            )
            kept, missing = _with_places(kept, written.places), dict(written.missing)
        write_rows(kept, folder / "kept", jsonl=output.jsonl)
        write_rows(decision.dropped_parts(), folder / "dropped", jsonl=output.jsonl)
        summary = decided.summary(missing)
        text = json.dumps(summary.as_dict(), indent=2, ensure_ascii=False)
        (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
        if output.card:
            page = filter_card(card_of(_told(decided, summary, output.command)))
            (folder / "card.html").write_text(page, encoding="utf-8")
    return summary


class _HeldRows:
    """Rows in memory."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.columns = list(dict.fromkeys(name for row in rows for name in row))
        self._cells = {name: inferred([row.get(name) for row in rows]) for name in self.columns}

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        import pyarrow as pa  # noqa: PLC0415

        wanted = columns or self.columns
        yield pa.table({name: self._cells[name] for name in wanted})


def _ranked(judged: Judged, rule: Rule) -> Judged:
    keep_top(judged, rule)
    keep_budget(judged, rule)
    return judged


def _told(decided: Decided, summary: FilterSummary, command: str) -> Told:
    return Told(
        source=decided.table.address,
        rule=decided.rule,
        asked=decided.asked,
        judged=decided.judged,
        decision=decided.decision,
        likeness=decided.likeness,
        protocol=summary.protocol,
        commands=[command] if command else [],
    )


def _hash(config: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(config, sort_keys=True, default=str))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _with_places(parts: Iterable[pa.Table], places: pa.ChunkedArray) -> Iterator[pa.Table]:
    start = 0
    for part in parts:
        rest = part.drop_columns([PICTURE]) if PICTURE in part.column_names else part
        yield rest.append_column(PICTURE, places.slice(start, len(part)))
        start += len(part)


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder to write into that becomes `out` when all went well.

    An empty `out` may be a shell's own folder or a mounted disk: it stays and is filled.
    """
    name = f".{out.name}.{os.getpid()}.tmp"
    aside = out / name if out.is_dir() else out.with_name(name)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        if aside.parent == out:
            for made in sorted(aside.iterdir()):
                made.replace(out / made.name)
        else:
            aside.replace(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
