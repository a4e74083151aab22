"""Checkpoints under several scores at once: order, groups, categories, trade-offs, people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from beholder.errors import ConfigError, DataError
from beholder.eval._ranking.agreement import Agreement as Agreement
from beholder.eval._ranking.agreement import Flip as Flip
from beholder.eval._ranking.agreement import People, judged_agreement
from beholder.eval._ranking.cells import PICTURE_SEED, Cells, Columns, absent, cell_name, gather
from beholder.eval._ranking.neighbours import certainty_fault, neighbours_needed
from beholder.eval._ranking.trade_offs import front
from beholder.eval._sheets.ranking import leaderboard_sheet
from beholder.eval.pareto import Objective as Objective
from beholder.eval.pareto import ParetoPoint as ParetoPoint
from beholder.eval.power import Needed as Needed
from beholder.eval.protocols import ProtocolName, protocol_named
from beholder.eval.ranking import Ranking, corrected_together, rank, tiers
from beholder.types import Preference

if TYPE_CHECKING:
    from beholder.tables import ScoreTable

SMALL = 20
"""Prompts below which a category is flagged."""
_REDRAWN = {
    "prompts": "prompts with their pictures: the conclusion is about prompts like these",
    "seeds": "pictures of these prompts: the conclusion is about these very prompts",
    "both": "prompts, then pictures inside each: about prompts like these, on the safe side",
}
_TESTED = {
    "prompts": "signs flipped over prompts",
    "seeds": "names exchanged within prompts",
    "both": "signs flipped over prompts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderboardConfig:
    """What is compared, and how.

    Attributes:
        scores: the score columns; the first decides the order.
        by: the column that names the checkpoint.
        prompt: the column that says which pictures may be compared.
        categories: columns whose values divide the prompts.
        resample: "prompts", "seeds" or "both"; see `beholder.eval.ranking.rank`.
        alpha: the chance, in (0, 1), that any two equal checkpoints are told apart.
        draws, seed: of the bootstrap.
        pareto: the objectives of the Pareto front.
        judgements: what people said about pictures of the table.
        protocol: how their pairs are counted.
        certainty: the wanted probability of telling two neighbours apart, in (alpha, 1); None
            leaves out how many prompts that takes.

    Raises ConfigError if there is no score, one objective, a certainty out of range, or one of
    fixed prompts.
    """

    scores: Sequence[str]
    by: str = "model"
    prompt: str = "prompt"
    categories: Sequence[str] = ()
    resample: str = "prompts"
    alpha: float = 0.05
    draws: int = 2000
    seed: int = 0
    pareto: Sequence[Objective] = ()
    judgements: Sequence[Preference] = ()
    protocol: ProtocolName = "imagereward"
    certainty: float | None = None

    def __post_init__(self) -> None:
        if not self.scores:
            raise ConfigError("a leaderboard needs a score column, such as mps.total")
        if len(self.pareto) == 1:
            raise ConfigError("a Pareto front needs two objectives or more, got one")
        if why := certainty_fault(self.certainty, self.alpha):
            raise ConfigError(why)
        if self.certainty is not None and self.resample == "seeds":
            raise ConfigError(
                "certainty counts prompts, but resample 'seeds' holds the prompts fixed; leave out "
                "one of them"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """Everything that is said about checkpoints.

    Attributes:
        by: the column that names the checkpoint.
        scores: the score columns; the first decides the order.
        rankings: score column -> ranking.
        tiers: score column -> groups of neighbours of which no two are told apart, best first; a
            checkpoint that is told apart from all is a group of its own.
        categories: category -> score column -> ranking of its prompts alone. A category is the
            value of the column, or "column=value" if there are several columns.
        small_categories: those with fewer than 20 prompts that are compared.
        categories_left_out: category -> why it could not be ranked.
        objectives, pareto: the front, in the order of the first score's ranking; empty if none
            was asked for.
        agreement: with people, an entry for each score and aspect; empty without judgements.
        needed: prompts that tell each two neighbours of the first ranking apart.
        protocol: name -> text: what a reader must know to repeat or to judge the figures.
    """

    by: str
    scores: Sequence[str]
    rankings: Mapping[str, Ranking]
    tiers: Mapping[str, Sequence[Sequence[str]]]
    categories: Mapping[str, Mapping[str, Ranking]] = field(default_factory=dict)
    small_categories: Sequence[str] = ()
    categories_left_out: Mapping[str, str] = field(default_factory=dict)
    objectives: Sequence[Objective] = ()
    pareto: Sequence[ParetoPoint] = ()
    agreement: Sequence[Agreement] = ()
    needed: Sequence[Needed] = ()
    protocol: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Checkpoints in the order of the first score, best first."""
        return [standing.name for standing in self.rankings[self.scores[0]].standings]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON-ready values."""
        return {**asdict(self), "dimensions": self.dimensions()}

    def __repr__(self) -> str:
        return leaderboard_sheet(self).text()

    def _repr_html_(self) -> str:
        return leaderboard_sheet(self).html()

    def dimensions(self) -> dict[str, dict[str, float]]:
        """Checkpoint -> score -> mean: a table with a row for each and a column for each score."""
        found: dict[str, dict[str, float]] = {name: {} for name in self.names}
        for score, ranking in self.rankings.items():
            for standing in ranking.standings:
                found[standing.name][score] = standing.mean
        return found


def leaderboard(table: ScoreTable, config: LeaderboardConfig) -> Leaderboard:
    """Everything about the checkpoints of a score table.

    Raises:
        ConfigError: if a column is not there, or a setting is out of range.
        DataError: if a score cannot be ranked (see `rank`), or no judgement is about its pictures.
    """
    columns = table.arrays(_wanted(table.columns, config))
    rankings = {score: _rank(columns, score, config) for score in config.scores}
    first = rankings[config.scores[0]]
    categories, left_out = _categories(columns, config)
    return Leaderboard(
        by=config.by,
        scores=list(config.scores),
        rankings=rankings,
        tiers={score: tiers(ranking) for score, ranking in rankings.items()},
        categories=categories,
        small_categories=[
            name
            for name, found in categories.items()
            if any(ranking.compared.prompts < SMALL for ranking in found.values())
        ],
        categories_left_out=left_out,
        objectives=list(config.pareto),
        pareto=_pareto(columns, [s.name for s in first.standings], config),
        agreement=_agreement(columns, config),
        needed=_needed(columns, first, config),
        protocol=_protocol(config, first),
    )


def _wanted(known: Sequence[str], config: LeaderboardConfig) -> list[str]:
    """The columns that are read, each once."""
    objectives = [each.column for each in config.pareto if each.column]
    wanted = [config.by, config.prompt, *config.scores, *objectives, *config.categories]
    wanted += [PICTURE_SEED] if PICTURE_SEED in known else []
    wanted += ["image", "prompt"] if config.judgements else []
    return list(dict.fromkeys(wanted))


def _rank(columns: Columns, score: str, config: LeaderboardConfig) -> Ranking:
    return rank(
        columns,
        score=score,
        by=config.by,
        prompt=config.prompt,
        resample=config.resample,
        alpha=config.alpha,
        draws=config.draws,
        seed=config.seed,
    )


def _cells(columns: Columns, score: str, config: LeaderboardConfig) -> Cells:
    return gather(columns, score, config.by, config.prompt)


def _categories(
    columns: Columns, config: LeaderboardConfig
) -> tuple[dict[str, dict[str, Ranking]], dict[str, str]]:
    """Category -> score -> ranking, corrected over all categories of a score; and who is left."""
    found: dict[str, dict[str, Ranking]] = {}
    left_out: dict[str, str] = {}
    for name, rows in _members(columns, config.categories).items():
        part = {key: np.asarray(values, dtype=object)[rows] for key, values in columns.items()}
        try:
            found[name] = {score: _rank(part, score, config) for score in config.scores}
        except DataError as error:
            left_out[name] = str(error)
    for score in config.scores:
        together = corrected_together([found[name][score] for name in found])
        for name, ranking in zip(found, together, strict=True):
            found[name][score] = ranking
    return found, left_out


def _members(columns: Columns, categories: Sequence[str]) -> dict[str, list[int]]:
    """Category -> its rows; a value that is a JSON list counts in each of its members."""
    rows: dict[str, list[int]] = {}
    for column in categories:
        for at, value in enumerate(columns[column]):
            for name in _values(value):
                label = f"{column}={name}" if len(categories) > 1 else name
                rows.setdefault(label, []).append(at)
    return dict(sorted(rows.items()))


def _values(value: object) -> list[str]:
    if absent(value) or value == "":
        return []
    text = cell_name(value)
    if text.startswith("["):
        try:
            return sorted({cell_name(each) for each in json.loads(text)})
        except json.JSONDecodeError:
            return [text]
    return [text]


def _pareto(columns: Columns, names: Sequence[str], config: LeaderboardConfig) -> list[ParetoPoint]:
    if not config.pareto:
        return []
    return front(
        names,
        config.pareto,
        lambda score: _cells(columns, score, config),
        resample=config.resample,
        draws=config.draws,
        seed=config.seed,
    )


def _agreement(columns: Columns, config: LeaderboardConfig) -> list[Agreement]:
    if not config.judgements:
        return []
    people = People(
        judgements=config.judgements,
        protocol=config.protocol,
        draws=config.draws,
        seed=config.seed,
    )
    return [
        found
        for score in config.scores
        for found in judged_agreement(columns, score, config.by, people)
    ]


def _needed(columns: Columns, first: Ranking, config: LeaderboardConfig) -> list[Needed]:
    if config.certainty is None:
        return []
    return neighbours_needed(first, _cells(columns, first.score, config), config.certainty)


def _protocol(config: LeaderboardConfig, first: Ranking) -> dict[str, str]:
    said = {
        "order": f"Bradley-Terry strength of {first.score}, {first.virtual_ties:g} virtual tie "
        "for each two that meet",
        "meeting": "a prompt counts once: the share of picture pairs that one side wins, ties half",
        "redrawn": _REDRAWN[first.resample],
        "intervals": f"{first.level:.0%}, paired bootstrap of {first.draws} draws, seed "
        f"{first.seed}; each for itself, not corrected for their number",
        "told apart": f"two-sided permutation test of the win rate ({_TESTED[first.resample]}), "
        "corrected by Holm over all pairs of a score, each score for itself, below "
        f"{first.alpha:g}",
        "missing scores": "counted for each checkpoint and used nowhere; two checkpoints are "
        "compared on the prompts of both",
    }
    if config.categories:
        said["categories"] = (
            "corrected by Holm over all pairs of all categories of a score, each score for itself; "
            "below "
            f"{SMALL} prompts a category is called small"
        )
    if config.judgements:
        said["people"] = f"{protocol_named(config.protocol).id}, on pairs that people judged"
    return said
