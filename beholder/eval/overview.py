"""A score table, judgements and a ranking put together into one report; no model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from beholder.errors import ConfigError, ImageError
from beholder.eval.preference import Evaluation, ProtocolName, evaluate
from beholder.eval.ranking import Ranking, rank
from beholder.eval.report import (
    METHODS,
    AccuracyRow,
    Disagreement,
    ExplainedPicture,
    FilterSummary,
    Fit,
    PictureFeedback,
    RankRow,
    Report,
    ScoredPicture,
    disagreements,
    report_from_table,
)
from beholder.eval.table_scores import TableScores
from beholder.images import ImageSource
from beholder.tables import ScoreTable, unknown
from beholder.types import Explanation, Preference

Explain = Callable[[ImageSource, str], Sequence[Explanation]]
ExplainFeedback = Callable[[ImageSource, str], PictureFeedback]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What a report is made of besides the scores themselves.

    Attributes:
        judgements: what people said; gives accuracy and disagreements.
        protocol: how pairs are counted.
        by: the column that names the checkpoint; "" leaves out the ranking.
        aspect: what decides best, worst and the ranking: an aspect or "total".
        filtered: what a filter did.
        title, notice: the headline, and what a reader must know first.
        judges: who gave the judgements, as the page calls them.
        commands: shell lines that repeat the run.
        count: pictures on each side of best and worst, and the most disagreements.
    """

    judgements: Sequence[Preference] = ()
    protocol: ProtocolName = "imagereward"
    by: str = ""
    aspect: str = "total"
    filtered: FilterSummary | None = None
    title: str = ""
    notice: str = ""
    judges: str = "people"
    commands: Sequence[str] = ()
    count: int = 6


def overview(table: ScoreTable, reward: str, parts: Overview | None = None) -> Report:
    """The report of one reward's scores; the table's other rewards are its baselines.

    Raises:
        ConfigError: if the table has no such reward or column.
        DataError: if the table is damaged, or the checkpoints share no prompts.
    """
    parts = parts or Overview()
    if reward not in table.rewards:
        raise ConfigError(unknown("reward", reward, table.rewards))
    if parts.by and parts.by not in table.columns:
        raise ConfigError(unknown("column", parts.by, table.columns))
    rows = list(table.rows())
    base = report_from_table(
        rows,
        reward=reward,
        group=parts.by or None,
        by=parts.aspect,
        title=parts.title,
        count=parts.count,
    )
    ranking = _ranking(table, reward, parts)
    results = _evaluations(table, rows, reward, parts)
    return replace(
        base,
        notice=parts.notice,
        judges=parts.judges,
        protocol={**base.protocol, **_protocol(table, reward, results.get(reward))},
        accuracy=[row for name, found in results.items() for row in _accuracy(name, found, reward)],
        ranking=[] if ranking is None else _standings(ranking),
        not_told_apart=[] if ranking is None else not_told_apart(ranking),
        disagreements=_disagreements(rows, reward, parts),
        filtered=parts.filtered,
        commands=parts.commands,
        methods=_methods(table, ranking, results),
    )


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
    names = [standing.name for standing in ranking.standings]
    apart = {(m.first, m.second) for m in ranking.meetings if m.told_apart}
    runs: list[list[str]] = []
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and not any((n, names[end]) in apart for n in names[start:end]):
            end += 1
        run = names[start:end]
        if len(run) > 1 and not any(set(run) <= set(longer) for longer in runs):
            runs.append(run)
    return runs


def _ranking(table: ScoreTable, reward: str, parts: Overview) -> Ranking | None:
    if not parts.by:
        return None
    score = f"{reward}.{parts.aspect}"
    return rank(table.arrays([parts.by, "prompt", score]), score=score, by=parts.by)


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


def _protocol(table: ScoreTable, reward: str, result: Evaluation | None) -> dict[str, str]:
    import torch  # noqa: PLC0415

    config = table.config(reward)
    said = {
        "reward": f"{reward} ({config['reward']})",
        "weights": f"{str(config['weights'])[:16]}",
        "beholder": str(config["beholder"]),
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "transparent pixels": str(config["alpha"]),
    }
    if result is not None:
        said["accuracy"] = f"{result.protocol}: {result.meaning}"
        said["intervals"] = f"{result.level:.0%}, bootstrap of {result.draws} draws over prompts"
    return said


def _methods(
    table: ScoreTable, ranking: Ranking | None, results: Mapping[str, Evaluation]
) -> list[str]:
    used = {str(table.config(name)["reward"]) for name in table.rewards}
    used |= {"bradley-terry", "bootstrap"} if ranking is not None else set()
    used |= {"bootstrap"} if results else set()
    return [text for name, text in METHODS.items() if name in used]
