"""What a filter keeps, as it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beholder.errors import ConfigError
from beholder.eval._expression import Expression, column, parse, parse_number
from beholder.eval._filter.statistics import Statistic
from beholder.eval._filter.texts import Pair

SHARES = ("proportional", "equal")
"""How strata share a budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is kept.

    Attributes:
        where: conditions such as "mps.overall > 0.3"; "" for none. See `eval._expression`.
        top: below 1 a share of the rows that pass `where`, rounded up; from 1 on a number of rows;
            None for all.
        score: what ranks rows, highest first, earlier rows winning ties: a column, or numbers such
            as "zscore(mps.total) + 0.5 * zscore(clipscore.total)".
        by: the column whose values form groups, each with its own top; "" for one group.
        budget: the best so many of the rows that are left after everything else; None for all.
        stratify: the column whose values share the budget; "" for none.
        shares: of a value in the budget: "proportional" to its rows in the whole table, so that
            what is kept has the table's mixture whatever the rule drops, or "equal". Rounded to
            whole rows by largest remainders; what a value has too few rows for goes to the others,
            in the same proportions.

    Raises ConfigError if `where` or `score` is not of the language, or parts do not fit together.
    """

    where: str = ""
    top: float | None = None
    score: str = ""
    by: str = ""
    budget: int | None = None
    stratify: str = ""
    shares: str = "proportional"

    def __post_init__(self) -> None:
        self.conditions()
        if self.top is None and self.by:
            raise ConfigError(f"grouping by {self.by!r} needs a top, such as 0.2 or 5")
        if self.top is not None and not _is_top(self.top):
            raise ConfigError(
                f"top must be a share in (0, 1) or a whole number of rows, got {self.top}"
            )
        self._check_budget()
        if not self.score and (self.top is not None or self.budget is not None):
            what = "budget" if self.top is None else "top"
            raise ConfigError(f"{what} needs the column of scores that it ranks, such as mps.total")

    def _check_budget(self) -> None:
        if self.budget is None and self.stratify:
            raise ConfigError(f"{self.stratify!r} is to share a budget; give one, such as 100000")
        if self.budget is not None and self.budget < 1:
            raise ConfigError(f"a budget is a number of rows from 1 on, got {self.budget}")
        if self.shares not in SHARES:
            raise ConfigError(f"shares are proportional or equal, got {self.shares!r}")

    @property
    def top_stage(self) -> str:
        """What its top is called as a step of the filter."""
        within = f" of each {self.by}" if self.by else ""
        return "" if self.top is None else f"top {self.top:g}{within} by {self.score}"

    @property
    def budget_stage(self) -> str:
        """What its budget is called as a step of the filter."""
        among = f", {self.shares} shares of {self.stratify}" if self.stratify else ""
        return "" if self.budget is None else f"best {self.budget:,} by {self.score}{among}"

    def conditions(self) -> list[Expression]:
        """What `where` asks, part by part."""
        return parse(self.where) if self.where else []

    def ranked_by(self, known: Sequence[str]) -> Expression | None:
        """What ranks rows of a table with these columns; a column of any name is meant as such."""
        if not self.score:
            return None
        return column(self.score) if self.score in known else parse_number(self.score)

    def asked(self, known: Sequence[str]) -> Asked:
        """What the rule asks of the rows of a table with these columns."""
        return Asked(self.conditions(), self.ranked_by(known), self.by, self.stratify)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule asks of the rows of a table."""

    conditions: Sequence[Expression]
    score: Expression | None
    by: str = ""
    stratify: str = ""

    @property
    def columns(self) -> list[str]:
        """The columns in which a row must have a value, in the order in which they are missed."""
        ranked = self.score.columns if self.score else []
        asked = [name for condition in self.conditions for name in condition.columns]
        return list(dict.fromkeys([*asked, *ranked, *filter(None, (self.by, self.stratify))]))

    @property
    def statistics(self) -> list[Statistic]:
        """What it asks of whole columns."""
        return [statistic for part in self._parts for statistic in part.statistics]

    @property
    def numeric(self) -> Mapping[str, str]:
        """Each column that it uses as numbers -> a number that it is compared with, "" for none."""
        return {name: beside for part in self._parts for name, beside in part.numeric.items()}

    @property
    def pairs(self) -> list[Pair]:
        """The columns that it compares with each other."""
        return [pair for part in self._parts for pair in part.pairs]

    @property
    def equated(self) -> Mapping[str, str]:
        """Each column that is to be, or not to be, equal to another -> the other."""
        pairs = [pair[:2] for pair in self.pairs if pair[2] in ("equal", "not_equal")]
        return {one: other for pair in pairs for one, other in (pair, pair[::-1])}

    @property
    def _parts(self) -> list[Expression]:
        return [*self.conditions, *([self.score] if self.score else [])]


def _is_top(top: float) -> bool:
    return 0 < top < 1 or (top >= 1 and float(top).is_integer())
