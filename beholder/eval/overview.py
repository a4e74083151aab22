"""A score table, judgements and a ranking put together into one report; no model is loaded."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np

from beholder._page.plots import finite
from beholder.errors import ConfigError, ImageError
from beholder.eval._report.choice import KINDS, Scored, choose
from beholder.eval._report.columns import Columns, Names, pictured, read_columns, rows_at
from beholder.eval._report.profiles import FEWEST, profiles
from beholder.eval._report.selection import best_and_worst_rows
from beholder.eval.leaderboard import Leaderboard, LeaderboardConfig, Objective, leaderboard
from beholder.eval.preference import Evaluation, ProtocolName, evaluate
from beholder.eval.ranking import Ranking, tiers
from beholder.eval.report import (
    METHODS,
    AccuracyRow,
    Disagreement,
    ExplainedPicture,
    FilterSummary,
    Fit,
    Gallery,
    PictureFeedback,
    Profile,
    RankRow,
    Report,
    ScoredPicture,
    base_report,
    disagreements,
)
from beholder.eval.table_scores import TableScores, pair_of
from beholder.images import ImageSource
from beholder.tables import ScoreTable, score_parts, unknown
from beholder.types import Explanation, Preference

Explain = Callable[[ImageSource, str], Sequence[Explanation]]
ExplainFeedback = Callable[[ImageSource, str], PictureFeedback]
Found = TypeVar("Found")

CERTAINTY = 0.8
"""With which the leaderboard's neighbours should be told apart, for how many prompts that takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What a report is made of besides the scores themselves.

    Attributes:
        judgements: what people said; gives accuracy, agreement and disagreements.
        protocol: how pairs are counted.
        by: the column that names the checkpoint; "" leaves out the leaderboard.
        category: the column that divides the prompts; "" takes all together.
        aspect: what decides best, worst and the order of checkpoints: an aspect or "total".
        scores: further score columns; none takes the totals of the table's other rewards.
        pictures: most pictures in the gallery; 0 leaves it out.
        pareto: objectives of the trade-offs; none takes the scores that are compared.
        resample, alpha, draws: of the leaderboard, as `LeaderboardConfig` has them.
        seed: of what the gallery draws by chance and of the leaderboard's intervals.
        filtered: what a filter did.
        title, notice: the headline, and what a reader must know first.
        judges: who gave the judgements, as the page calls them.
        commands: shell lines that repeat the run.
        count: pictures on each side of best and worst, and the most disagreements.
    """

    judgements: Sequence[Preference] = ()
    protocol: ProtocolName = "imagereward"
    by: str = ""
    category: str = ""
    aspect: str = "total"
    scores: Sequence[str] = ()
    pareto: Sequence[Objective] = ()
    resample: str = "prompts"
    alpha: float = 0.05
    draws: int = 2000
    pictures: int = 400
    seed: int = 0
    filtered: FilterSummary | None = None
    title: str = ""
    notice: str = ""
    judges: str = "people"
    commands: Sequence[str] = ()
    count: int = 6


def overview(table: ScoreTable, reward: str, parts: Overview | None = None) -> Report:
    """The report of one reward's scores; the table's other rewards are its baselines.

    Of a table of any size the numbers alone are held; texts are read of the rows that are shown.

    Raises:
        ConfigError: if the table has no such reward or column.
        DataError: if the table is damaged, or the checkpoints share no prompts.
    """
    parts = parts or Overview()
    names = _names(table, reward, parts)
    numbers = read_columns(table.parts, names)
    ends = best_and_worst_rows(numbers, by=parts.aspect, count=parts.count)
    judged = _judged_rows(table, parts)
    results = _evaluations(table, list(judged.values()), reward, parts)
    divided = _disagreements(list(judged.values()), reward, parts)
    rows = _gallery_rows(numbers, parts, [*ends[0], *ends[1], *_rows_of(divided, judged)])
    found = dict(rows_at(table.parts, names.present(), [*ends[0], *ends[1], *rows]))
    best, worst = ([pictured(found[row], names) for row in side] for side in ends)
    board = _leaderboard(table, reward, parts)
    base = base_report(numbers, names, best, worst, title=parts.title)
    ranking = None if board is None else board.rankings[board.scores[0]]
    return replace(
        base,
        notice=parts.notice,
        judges=parts.judges,
        protocol={**base.protocol, **_protocol(table, parts, reward, results.get(reward), board)},
        accuracy=[row for name, found in results.items() for row in _accuracy(name, found, reward)],
        ranking=[] if ranking is None else _standings(ranking),
        not_told_apart=[] if ranking is None else not_told_apart(ranking),
        leaderboard=board,
        profiles=_profiles(numbers, names, board),
        gallery=_gallery([pictured(found[row], names) for row in rows], numbers, parts, board),
        disagreements=divided,
        filtered=parts.filtered,
        commands=parts.commands,
        methods=_methods(table, ranking, results),
    )


def _names(table: ScoreTable, reward: str, parts: Overview) -> Names:
    """The columns that the page reads; raises ConfigError if one of them is not there."""
    if reward not in table.rewards:
        raise ConfigError(unknown("reward", reward, table.rewards))
    columns = table.columns
    others = [name for name in parts.scores if not name.startswith(f"{reward}.")]
    for name in (parts.by, parts.category, *parts.scores):
        if name and name not in columns:
            raise ConfigError(unknown("column", name, columns))
    return Names(
        reward=reward,
        parts=score_parts(columns, reward),
        others=others or [f"{name}.total" for name in table.rewards if name != reward],
        group=parts.by,
        category=parts.category,
        seed="seed" if "seed" in columns else "",
        table=columns,
    )


def _judged_rows(table: ScoreTable, parts: Overview) -> dict[int, dict[str, Any]]:
    """Row number -> the row, of every picture that people judged."""
    wanted = {pair_of(i, p.prompt) for p in parts.judgements for i in (p.first, p.second)}
    start, rows = 0, []
    for part in table.parts(["image", "prompt"]) if wanted else ():
        pairs = zip(part["image"].to_pylist(), part["prompt"].to_pylist(), strict=True)
        rows += [start + k for k, (i, p) in enumerate(pairs) if pair_of(i, p or "") in wanted]
        start += len(part)
    return dict(rows_at(table.parts, table.columns, rows))


def _rows_of(divided: Sequence[Disagreement], judged: Mapping[int, Mapping[str, Any]]) -> list[int]:
    """The rows of pictures that stand in a disagreement."""
    shown = {pair_of(str(i), d.prompt) for d in divided for i in (d.first, d.second)}
    return [k for k, r in judged.items() if pair_of(r["image"], r["prompt"] or "") in shown]


def _gallery_rows(numbers: Columns, parts: Overview, first: Sequence[int]) -> list[int]:
    if not parts.pictures:
        return []
    scored = Scored(
        scores=numbers.scores[parts.aspect],
        checkpoints=numbers.checkpoints,
        cells=numbers.cells,
    )
    rows = choose(scored, count=parts.pictures, seed=parts.seed, first=first)
    return [int(row) for row in rows]


def _gallery(
    shown: Sequence[ScoredPicture], numbers: Columns, parts: Overview, board: Leaderboard | None
) -> Gallery | None:
    if not shown:
        return None
    scores = dict.fromkeys([parts.aspect, *numbers.scores])
    known = {name: finite(numbers.scores[name]) for name in scores}
    of = int(np.isfinite(numbers.scores[parts.aspect]).sum())
    return Gallery(
        pictures=shown,
        ranges={n: (float(v.min()), float(v.max())) for n, v in known.items() if len(v)},
        of=of,
        how=_how(parts) if len(shown) < of else "",
        checkpoints=[] if board is None else board.names,
    )


def _how(parts: Overview) -> str:
    """How the gallery was chosen, as a sentence."""
    each = "of each checkpoint " if parts.by else ""
    beside = ", beside those of other checkpoints with their prompt and seed" if parts.by else ""
    return (
        f"They were chosen by {parts.aspect}: {each}in turn the {', the '.join(KINDS[:-1])} "
        f"and a {KINDS[-1]} one (seed {parts.seed}){beside}."
    )


def _leaderboard(table: ScoreTable, reward: str, parts: Overview) -> Leaderboard | None:
    """The leaderboard of the reward and of the further scores, its trade-offs if none are given."""
    if not parts.by:
        return None
    first = f"{reward}.{parts.aspect}"
    further = parts.scores or [f"{name}.total" for name in table.rewards if name != reward]
    scores = list(dict.fromkeys([first, *further]))
    objectives = [Objective(name=score.removesuffix(".total"), column=score) for score in scores]
    config = LeaderboardConfig(
        scores=scores,
        by=parts.by,
        categories=[parts.category] if parts.category else [],
        resample=parts.resample,
        alpha=parts.alpha,
        draws=parts.draws,
        seed=parts.seed,
        pareto=parts.pareto or (objectives if len(objectives) > 1 else ()),
        judgements=parts.judgements,
        protocol=parts.protocol,
        certainty=None if parts.resample == "seeds" else CERTAINTY,
    )
    return leaderboard(table, config)


def _profiles(numbers: Columns, names: Names, board: Leaderboard | None) -> list[Profile]:
    """Over the reward's aspects, or over all rewards if those are too few; the best first."""
    aspects = [name for name in names.parts if name != "total"]
    dimensions = aspects if len(aspects) >= FEWEST else ["total", *names.others]
    found = {profile.name: profile for profile in profiles(numbers, dimensions)}
    order = [] if board is None else board.names
    return [found[name] for name in order if name in found]


def explained(report: Report, explain: Explain, *, fit: Fit, count: int = 2) -> Report:
    """The report with word masks and attention maps of its `count` best and worst pictures.

    `explain` gives the explanations of one picture and its prompt, such as `MPS.explain`; `fit`
    says how that reward fits a picture into its square. A picture that cannot be read any more is
    left out; its card says why.
    """
    shown = [
        ExplainedPicture(image=p.image, prompt=p.prompt, explanations=seen, fit=fit)
        for p, seen in _asked(report, explain, count)
    ]
    return replace(report, explanations=shown)


def with_feedback(report: Report, explain_feedback: ExplainFeedback, *, count: int = 2) -> Report:
    """The report with what is wrong where in its `count` best and worst pictures.

    `explain_feedback` gives the feedback on one picture and its prompt, such as
    `PictureFeedback.of` of a reward's scores. A picture that cannot be read or scored any more is
    left out; its card says why.
    """
    return replace(report, feedback=[said for _, said in _asked(report, explain_feedback, count)])


def _asked(
    report: Report, ask: Callable[[ImageSource, str], Found], count: int
) -> Iterator[tuple[ScoredPicture, Found]]:
    """The best and worst pictures with what a reward answers; without those it cannot read."""
    for picture in (*report.best[:count], *report.worst[:count]):
        with suppress(ImageError):
            yield picture, ask(picture.image, picture.prompt)


def not_told_apart(ranking: Ranking) -> list[list[str]]:
    """The longest runs of neighbouring checkpoints of which no two are told apart."""
    return [tier for tier in tiers(ranking) if len(tier) > 1]


def _evaluations(
    table: ScoreTable, rows: Sequence[Mapping[str, object]], reward: str, parts: Overview
) -> dict[str, Evaluation]:
    """Reward -> accuracy, the reported reward first; empty without judgements."""
    if not parts.judgements:
        return {}
    names = [reward, *(name for name in table.rewards if name != reward)]
    return {
        name: evaluate(TableScores(rows, name), parts.judgements, protocol=parts.protocol)
        for name in names
    }


def _accuracy(name: str, result: Evaluation, reward: str) -> list[AccuracyRow]:
    return [
        AccuracyRow(
            aspect=aspect,
            method=name,
            accuracy=a.accuracy,
            low=a.low,
            high=a.high,
            pairs=a.pairs,
            baseline=name != reward,
        )
        for aspect, a in result.aspects.items()
        if a.pairs
    ]


def _standings(ranking: Ranking) -> list[RankRow]:
    return [
        RankRow(
            name=s.name,
            strength=s.strength,
            low=s.strength_interval.low,
            high=s.strength_interval.high,
            win_rate=s.win_rate,
            mean=s.mean,
            pictures=s.pictures,
        )
        for s in ranking.standings
    ]


def _disagreements(
    rows: Sequence[Mapping[str, object]], reward: str, parts: Overview
) -> list[Disagreement]:
    if not parts.judgements:
        return []
    scores = TableScores(rows, reward)
    known = {
        (image, said.prompt): _judged(scores.aspects(image, said.prompt), said)
        for said in parts.judgements
        for image in (said.first, said.second)
    }
    return disagreements(parts.judgements, known, count=parts.count)


def _judged(scores: Mapping[str, float], said: Preference) -> dict[str, float]:
    """Each answered aspect's score; the total, if there is one, where the reward has none."""
    found = {aspect: scores.get(aspect, scores.get("total")) for aspect in said.p_first}
    return {aspect: score for aspect, score in found.items() if score is not None}


def _protocol(
    table: ScoreTable,
    parts: Overview,
    reward: str,
    result: Evaluation | None,
    board: Leaderboard | None,
) -> dict[str, str]:
    """What the figures depend on, and the versions of what computed them."""
    config = table.config(reward)
    said = {
        "reward": f"{reward} ({config['reward']})",
        "weights": f"{str(config['weights'])[:16]}",
        "transparent pixels": str(config["alpha"]),
    }
    for name in table.rewards:
        if name != reward:
            other = table.config(name)
            said[f"reward {name}"] = f"{other['reward']}, weights {str(other['weights'])[:16]}"
    if result is not None:
        said["accuracy"] = f"{result.protocol}: {result.meaning}"
        said["intervals"] = f"{result.level:.0%}, bootstrap of {result.draws} draws over prompts"
    said |= {} if board is None else {f"leaderboard: {n}": t for n, t in board.protocol.items()}
    said |= {"gallery": f"seed {parts.seed}"} if parts.pictures else {}
    return said | {"scored with": f"beholder {config['beholder']}"} | _versions()


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in ("beholder", "torch", "numpy")}
    python = platform.python_version()
    return {**found, "python": python, "date": datetime.now(UTC).date().isoformat()}


def _methods(
    table: ScoreTable, ranking: Ranking | None, results: Mapping[str, Evaluation]
) -> list[str]:
    used = {str(table.config(name)["reward"]) for name in table.rewards}
    used |= {"bradley-terry", "bootstrap"} if ranking is not None else set()
    used |= {"bootstrap"} if results else set()
    return [text for name, text in METHODS.items() if name in used]
