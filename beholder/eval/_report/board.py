"""A leaderboard as the page draws it: one table of standings for each score, each on its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from beholder._page.document import TONES, Figure
from beholder._page.plots import Axis
from beholder._page.scatter import Spot
from beholder._page.wording import decimals, number
from beholder.eval._bootstrap import Interval
from beholder.eval.leaderboard import Leaderboard, Objective
from beholder.eval.ranking import Ranking, Standing

MOST_FIGURES = 4
"""Checkpoints whose win rates stand large at the top of the page."""

MOST_PLANES = 3
"""Pairs of objectives that are drawn."""

_METRICS = ("strength", "win_rate", "mean")


@dataclass(frozen=True, slots=True)
class Mark:
    """One number of a standing with its interval, and the axis that it shares with the others."""

    name: str
    value: float
    low: float
    high: float
    axis: Axis
    digits: int = 2

    @property
    def text(self) -> str:
        """The number as it is written; a win rate in percent."""
        return self.written(self.value)

    @property
    def told(self) -> str:
        """The number and its interval in words."""
        ends = f"{self.written(self.low)} to {self.written(self.high)}"
        return f"{self.name} {self.text}, 95 % interval {ends}"

    def written(self, value: float) -> str:
        """A value of this kind as it is written."""
        if self.name != "win rate":
            return number(value, self.digits)
        return f"{number(100 * value, 0)} %" if math.isfinite(value) else number(None)


@dataclass(frozen=True, slots=True)
class Column:
    """The standings of one score: its place among the scores, its name, and what is drawn."""

    place: int
    score: str
    ranking: Ranking
    tiers: Sequence[Sequence[str]]

    @property
    def ties(self) -> list[Sequence[str]]:
        """Groups of two and more that are not told apart."""
        return [tier for tier in self.tiers if len(tier) > 1]

    @property
    def axes(self) -> dict[str, Axis]:
        """Metric -> an axis that holds every interval; win rates are shown around one half."""
        found = {}
        for metric in _METRICS:
            marks = [_ends(standing, metric) for standing in self.ranking.standings]
            middle = [0.5] if metric == "win_rate" else []
            found[metric] = Axis.over([*middle, *(v for mark in marks for v in mark)])
        return found

    def marks(self, standing: Standing) -> list[Mark]:
        """Strength, win rate and mean of a checkpoint."""
        return [
            Mark(metric.replace("_", " "), *_ends(standing, metric), axis, self._digits(metric))
            for metric, axis in self.axes.items()
        ]

    def _digits(self, metric: str) -> int:
        """Decimals that suit the values of all checkpoints with their intervals."""
        return decimals(v for s in self.ranking.standings for v in _ends(s, metric))


@dataclass(frozen=True, slots=True)
class Plane:
    """Two objectives and where the checkpoints lie in them."""

    x: str
    y: str
    spots: Sequence[Spot]


@dataclass(frozen=True, slots=True)
class Board:
    """What a page shows of a leaderboard."""

    said: Leaderboard

    @property
    def columns(self) -> list[Column]:
        """One for each score, in their order."""
        return [
            Column(k, score, self.said.rankings[score], self.said.tiers.get(score, ()))
            for k, score in enumerate(self.said.scores)
        ]

    def tone(self, name: str) -> str:
        """The class of a checkpoint's colour: the same all over the page."""
        return f"tone-{self.said.names.index(name) % TONES}" if name in self.said.names else ""

    def categories(self, score: str) -> dict[str, dict[str, Standing]]:
        """Category -> checkpoint -> its standing there."""
        return {
            category: {s.name: s for s in rankings[score].standings}
            for category, rankings in self.said.categories.items()
            if score in rankings
        }

    @property
    def digits(self) -> dict[str, int]:
        """Objective -> decimals that tell its values apart."""
        names = [objective.name for objective in self.said.objectives]
        return {name: decimals(p.values[name] for p in self.said.pareto) for name in names}

    @property
    def planes(self) -> list[Plane]:
        """Pairs of objectives; a less wanted value is drawn further to the left or below."""
        pairs = list(combinations(self.said.objectives, 2))[:MOST_PLANES]
        return [Plane(_towards(x), _towards(y), self._spots(x.name, y.name)) for x, y in pairs]

    def _spots(self, x: str, y: str) -> list[Spot]:
        sign = {o.name: -1.0 if o.minimise else 1.0 for o in self.said.objectives}
        return [
            Spot(
                name=point.name,
                x=sign[x] * point.values[x],
                y=sign[y] * point.values[y],
                tone=self.tone(point.name),
                is_best=point.on_front,
            )
            for point in self.said.pareto
        ]


def _towards(objective: Objective) -> str:
    return f"less {objective.name}" if objective.minimise else objective.name


def _ends(standing: Standing, metric: str) -> tuple[float, float, float]:
    interval: Interval = getattr(standing, f"{metric}_interval")
    return float(getattr(standing, metric)), interval.low, interval.high


def heat(win_rate: float) -> str:
    """How deep a cell of a win rate is tinted, in percent: 0 at one half, 40 at 0 and at 1."""
    return f"{80 * abs(win_rate - 0.5):.0f}%" if math.isfinite(win_rate) else "0%"


def checkpoint_figures(said: Leaderboard | None) -> list[Figure]:
    """The win rates of the best few checkpoints, to stand at the top of a page."""
    if said is None:
        return []
    return [
        Figure(
            name=standing.name,
            value=number(100 * standing.win_rate, 0),
            unit="%",
            aside=_between(standing.win_rate_interval),
        )
        for standing in said.rankings[said.scores[0]].standings[:MOST_FIGURES]
    ]


def _between(interval: Interval) -> str:
    return f"{number(100 * interval.low, 0)} to {number(100 * interval.high, 0)}"
