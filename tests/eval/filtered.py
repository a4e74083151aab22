"""Rows in memory, in as many parts as a test likes, and a filter that judges one by one."""

import random
from collections.abc import Iterator, Sequence

import pyarrow as pa

from beholder.eval.filtering import Rule

Row = dict[str, object]


class HeldRows:
    def __init__(self, table: pa.Table, part: int = 1 << 30) -> None:
        self.table, self.part = table, part

    @property
    def columns(self) -> list[str]:
        return list(self.table.column_names)

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        chosen = self.table if columns is None else self.table.select(list(columns))
        for start in range(0, max(1, len(chosen)), self.part):
            yield chosen.slice(start, self.part)


def scored(count: int) -> list[Row]:
    """Rows of two rewards, with ties, errors, absent sources and divisions by zero."""
    chance = random.Random(5)
    rows: list[Row] = []
    for k in range(count):
        failed = chance.random() < 0.05
        rows.append(
            {
                "key": f"{k:04d}",
                "image": f"/p/{k}.png",
                "prompt": f"prompt {chance.randrange(20)}",
                "source": chance.choice(["web", "web", "web", "gen", None]),
                "a.total": None if failed else chance.randint(0, 30) / 8,
                "a.error": "cut: short" if failed else None,
                "b.total": chance.randint(-8, 8) / 4,
                "b.error": None,
            }
        )
    return rows


THOROUGH = Rule(
    where="a.total > 0.5 and a.total / b.total < 6",
    score="a.total + 2 * b.total",
    top=8,
    by="prompt",
    budget=30,
    stratify="source",
)


def one_by_one(rows: Sequence[Row]) -> list[str | None]:
    """The filter of `THOROUGH` as one would write it for a few rows."""
    reasons = [_refusal(row) for row in rows]
    for prompt in {row["prompt"] for row in rows}:
        _only_best(rows, reasons, {"prompt": prompt}, 8, "not in the top 8")
    sources = [row["source"] for row in rows]
    web = 30 * sources.count("web") / (sources.count("web") + sources.count("gen"))
    for source, quota in (("web", round(web)), ("gen", 30 - round(web))):
        _only_best(rows, reasons, {"source": source}, quota, "beyond the budget of 30")
    return reasons


def _refusal(row: Row) -> str | None:
    a, b = row["a.total"], row["b.total"]
    if not isinstance(a, float) or not isinstance(b, float):
        return "error: cut: short"
    if row["source"] is None:
        return "no value in source"
    if not a > 0.5:
        return "not a.total > 0.5"
    if b == 0:
        return "division by zero in a.total / b.total < 6"
    return None if a / b < 6 else "not a.total / b.total < 6"


def _only_best(
    rows: Sequence[Row], reasons: list[str | None], like: Row, quota: int, reason: str
) -> None:
    left = [k for k, row in enumerate(rows) if reasons[k] is None and like.items() <= row.items()]
    left.sort(key=lambda k: -float(str(rows[k]["a.total"])) - 2 * float(str(rows[k]["b.total"])))
    for k in left[quota:]:
        reasons[k] = f"{reason} by a.total + 2 * b.total"
