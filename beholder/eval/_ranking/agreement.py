"""How a score column and people agree: on pairs of pictures, and on the order of checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import Floats, Interval, percentile_interval, resampled_sums
from beholder.eval._ranking.cells import Columns, absent, cell_name, numbers
from beholder.eval._ranking.rank_correlation import kendall, spearman
from beholder.eval._ranking.strength import bradley_terry, islands
from beholder.eval.preference import ScoredPairs, score_pairs
from beholder.eval.protocols import Accuracy, pair_accuracy
from beholder.eval.table_scores import TableScores, pair_of
from beholder.types import Preference

_UNKNOWN = Interval(math.nan, math.nan)
_NAME = "score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """Two checkpoints that people and a score put in the opposite order.

    Attributes:
        people: whom people prefer of the two.
        score: whom the score prefers.
    """

    people: str
    score: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How a score column and people agree, on the pairs that people judged.

    Attributes:
        column: the score.
        aspect: what people were asked.
        accuracy: of pairs, with its interval over prompts; see `protocols.Accuracy`.
        pairs_left_out: judged pairs of this aspect with a picture that has no score here.
        checkpoint_pairs: pairs that count whose two pictures are of different checkpoints.
        checkpoints: the largest group that these pairs connect; if they are fewer than three,
            the two correlations are NaN, with the reason in `why`.
        people, score: checkpoint -> Bradley-Terry strength, from the same pairs.
        kendall, spearman: tau-b and rho of the two strengths, in [-1, 1], with intervals over
            prompts that are redrawn for both sides at once.
        flips: checkpoints that stand the other way round.
    """

    column: str
    aspect: str
    accuracy: Accuracy
    pairs_left_out: int
    checkpoint_pairs: int
    checkpoints: Sequence[str]
    people: Mapping[str, float]
    score: Mapping[str, float]
    kendall: float
    kendall_interval: Interval
    spearman: float
    spearman_interval: Interval
    flips: Sequence[Flip]
    why: str

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What people said about pictures of a table, and how it is counted.

    Attributes:
        judgements: preferences; their pictures are found by path and prompt.
        protocol: how pairs are counted.
        draws, seed: of the bootstrap over prompts.
    """

    judgements: Sequence[Preference]
    protocol: str = "imagereward"
    draws: int = 2000
    seed: int = 0


def judged_agreement(columns: Columns, score: str, by: str, people: People) -> list[Agreement]:
    """The agreement of a score with people, for each aspect that it answers.

    That is the aspect of its own name, such as "overall" of "mps.overall"; else "overall"; else
    all that people were asked.

    Args:
        columns: with image, prompt, the score and the checkpoint.
        score: the score column.
        by: the column that names the checkpoint.
        people: what they said.

    Raises:
        ConfigError: if the protocol is unknown or needs a tie threshold.
        DataError: if there is no judgement, or none is about pictures of these rows.
    """
    pairs = [
        pair_of(str(image), str(prompt or ""))
        for image, prompt in zip(columns["image"], columns["prompt"], strict=True)
    ]
    made_by = {
        pair: cell_name(name)
        for pair, name in zip(pairs, columns[by], strict=True)
        if not absent(name)
    }
    if not any(pair_of(p.first, p.prompt) in made_by for p in people.judgements):
        raise DataError(
            f"none of the {len(people.judgements)} judgements is about a picture of these scores; "
            "pictures are found by path and prompt"
        )
    scored = score_pairs(_scorer(columns, score), people.judgements)
    aspects = _aspects(score, scored.answered())
    return [_agreement(scored, score, aspect, made_by, people) for aspect in aspects]


def _scorer(columns: Columns, score: str) -> TableScores:
    rows = zip(columns["image"], columns["prompt"], numbers(columns[score], score), strict=True)
    return TableScores(
        (
            {"image": image, "prompt": prompt, f"{_NAME}.total": float(value)}
            for image, prompt, value in rows
        ),
        _NAME,
    )


def _aspects(score: str, answered: Sequence[str]) -> Sequence[str]:
    for aspect in (score.rpartition(".")[2], "overall"):
        if aspect in answered:
            return [aspect]
    return answered


def _agreement(
    scored: ScoredPairs, score: str, aspect: str, made_by: Mapping[Any, str], people: People
) -> Agreement:
    answers = scored.answers(aspect)
    if people.protocol == "pickapic":
        raise ConfigError("agreement takes no pickapic protocol: it has no tie threshold")
    asked = [p for p in scored.preferences if aspect in p.p_first]
    usable = [scored.preferences[k] for k in scored.usable()]
    ends = [
        (made_by.get(pair_of(p.first, p.prompt), ""), made_by.get(pair_of(p.second, p.prompt), ""))
        for p in usable
        if aspect in p.p_first
    ]
    accuracy = pair_accuracy(
        answers.margin,
        answers.p_first,
        answers.prompts,
        people.protocol,
        rankings=answers.rankings,
        draws=people.draws,
        seed=people.seed,
    )
    verdicts = list(zip(ends, answers.prompts, answers.p_first, answers.margin, strict=True))
    between = [v for v in verdicts if v[0][0] and v[0][1] and v[0][0] != v[0][1]]
    return Agreement(
        column=score,
        aspect=aspect,
        accuracy=accuracy,
        pairs_left_out=len(asked) - len(answers),
        checkpoint_pairs=len(between),
        **_orders(between, people),
    )


Verdict = tuple[tuple[str, str], str, float, float]
"""Two checkpoints, the prompt, the share of people for the first, the score's margin."""


def _orders(verdicts: Sequence[Verdict], people: People) -> dict[str, Any]:
    """The fields of an agreement that are about checkpoints."""
    names = _connected(verdicts)
    if len(names) < 2:
        return _no_order("people compared no two checkpoints")
    sums = _sums([v for v in verdicts if v[0][0] in names], names)
    ours, theirs = _strengths(sums.sum(0, keepdims=True), len(names))
    common: dict[str, Any] = {
        "checkpoints": names,
        "people": dict(zip(names, ours[0].tolist(), strict=True)),
        "score": dict(zip(names, theirs[0].tolist(), strict=True)),
        "flips": list(_flips(names, ours[0], theirs[0])),
    }
    if len(names) < 3:
        return _no_order("a correlation needs three checkpoints that people compared") | common
    drawn = _strengths(resampled_sums(sums, people.draws, people.seed), len(names))
    return common | {
        "kendall": float(kendall(ours, theirs)[0]),
        "kendall_interval": percentile_interval(kendall(*drawn)),
        "spearman": float(spearman(ours, theirs)[0]),
        "spearman_interval": percentile_interval(spearman(*drawn)),
        "why": "",
    }


def _no_order(why: str) -> dict[str, Any]:
    return {
        "checkpoints": [],
        "people": {},
        "score": {},
        "kendall": math.nan,
        "kendall_interval": _UNKNOWN,
        "spearman": math.nan,
        "spearman_interval": _UNKNOWN,
        "flips": [],
        "why": why,
    }


def _connected(verdicts: Sequence[Verdict]) -> list[str]:
    """The largest group of checkpoints that judged pairs connect, in alphabetical order."""
    left = sorted({name for ends, *_ in verdicts for name in ends})
    best: list[str] = []
    while len(left) > len(best):
        at = {name: k for k, name in enumerate(left)}
        met = np.zeros((len(left), len(left)), dtype=bool)
        for (first, second), *_ in verdicts:
            if first in at:
                met[at[first], at[second]] = met[at[second], at[first]] = True
        apart = islands(met, left)
        group = [name for name in left if name not in apart]
        best = max(best, group, key=len)
        left = apart
    return best


def _sums(verdicts: Sequence[Verdict], names: Sequence[str]) -> Floats:
    """Of each prompt: people's wins, the score's and the pairs of i < j, (prompts, 3 pairs)."""
    at = {pair: k for k, pair in enumerate(combinations(names, 2))}
    rows: dict[str, Floats] = {}
    for (first, second), prompt, p_first, margin in verdicts:
        own = rows.setdefault(prompt, np.zeros((3, len(at))))
        won = (1 + np.sign(margin)) / 2
        straight = (first, second) in at
        pair = at[(first, second) if straight else (second, first)]
        own[:, pair] += (p_first, won, 1) if straight else (1 - p_first, 1 - won, 1)
    return np.array([own.ravel() for own in rows.values()])


def _strengths(sums: Floats, models: int) -> tuple[Floats, Floats]:
    """People's and the score's strengths (draws, m), each two that met with one more tie."""
    people, score, met = np.split(sums, 3, axis=-1)
    i, j = np.triu_indices(models, 1)
    ties = np.zeros((models, models), dtype=bool)
    ties[i, j] = ties[j, i] = (met > 0).any(0)
    found = []
    for wins in (people, score):
        full = np.zeros((len(sums), models, models))
        full[:, i, j], full[:, j, i] = wins, met - wins
        found.append(bradley_terry(full, ties, 1.0))
    return found[0], found[1]


def _flips(names: Sequence[str], people: Floats, score: Floats) -> Iterator[Flip]:
    for i, j in combinations(range(len(names)), 2):
        first, second = people[i] - people[j], score[i] - score[j]
        if first * second < -1e-18:
            over, under = (names[i], names[j]) if first > 0 else (names[j], names[i])
            yield Flip(people=over, score=under)
