"""Which pairs to ask next: those whose answers are expected to tell most, and some at random.

One after another, the pair is chosen whose worth is highest:

    gain * prompt_decay ^ (times its prompt was chosen)
         * picture_decay ^ (times its two pictures were chosen)
         / (1 + times its two checkpoints were chosen) ^ balance.

The gain is, by strategy,

- "uncertainty": the entropy of the answer, H(mean p);
- "disagreement": what the answer tells about which reward is right, H(mean p) - mean H(p), times
  the share of the rewards' disagreement about it that the pairs chosen before leave open;
- "ranking": what it tells about which of two checkpoints is the better one, under a Bradley-Terry
  belief that starts from the rewards' scores, learns from the judgements, and after each choice
  from the expected answer. There is no `balance` then: the gain says which checkpoints to compare,
  and which of their pictures is left to chance, so that the judged pairs stay a fair sample;
- "random": told, but not looked at; it is the entropy of the answer;

with p = sigma(margin / temperature) of each reward. Before all that a random share is drawn
from all candidates alike. It describes the pairs that were not asked so far; with those that
were, each weighted by its number, it gives unbiased figures of all pairs (stratified sampling).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from beholder.annotation.asking.candidates import Candidates, absolute
from beholder.annotation.asking.gains import (
    DisagreementGain,
    FixedGain,
    Gain,
    Meetings,
    RankingGain,
)
from beholder.annotation.asking.information import entropy, sigmoid, temperature, usual_temperature
from beholder.annotation.asking.strengths import Strengths, posterior
from beholder.annotation.asking.worth import Worth
from beholder.errors import ConfigError
from beholder.types import Preference

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Strategy = Literal["uncertainty", "disagreement", "ranking", "random"]
Reason = Literal["active", "random"]

LARGEST = math.log(2)
"""What an answer can tell at most, in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionConfig:
    """How pairs are chosen.

    Attributes:
        strategy: what makes a pair worth asking; see the module.
        count: pairs to choose; fewer if there are fewer candidates.
        random_share: share of them that is drawn from all candidates alike.
        prompt_decay: what a pair is still worth, in (0, 1], for each time its prompt was chosen.
        picture_decay: the same for each time one of its pictures was chosen.
        per_prompt: pairs of one prompt after which only the random draw takes further ones; None
            sets no limit.
        balance: 0 lets the gain alone decide which checkpoints are compared; the higher, the more
            evenly they are. The strategy "ranking" decides by the gain alone.
        temperature: of all rewards; None learns one a reward from the judgements.
        spread: prior standard deviation of a checkpoint's strength around what the rewards say,
            in logits; of the strategy "ranking".
    """

    strategy: Strategy = "uncertainty"
    count: int = 100
    random_share: float = 0.2
    prompt_decay: float = 0.5
    picture_decay: float = 0.7
    per_prompt: int | None = None
    balance: float = 1.0
    temperature: float | None = None
    spread: float = 1.0

    def __post_init__(self) -> None:
        checks = {
            "count": (self.count >= 1, "at least 1"),
            "random_share": (0 <= self.random_share <= 1, "in [0, 1]"),
            "prompt_decay": (0 < self.prompt_decay <= 1, "in (0, 1]"),
            "picture_decay": (0 < self.picture_decay <= 1, "in (0, 1]"),
            "per_prompt": (self.per_prompt is None or self.per_prompt >= 1, "at least 1"),
            "balance": (self.balance >= 0, "at least 0"),
            "temperature": (self.temperature is None or self.temperature > 0, "above 0"),
            "spread": (self.spread > 0, "above 0"),
        }
        for name, (is_good, expected) in checks.items():
            if not is_good:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A pair to ask.

    Attributes:
        first, second: its pictures, as the candidates name them.
        checkpoint_first, checkpoint_second: who made them, "" if that is not known.
        reason: "random" pairs may be judged by, "active" ones only be learned from.
        p_first: how probable the rewards hold it that the first is better; 0.5 without rewards.
        gain: what the answer is expected to tell when it was chosen, in nats.
        score: its place in the order of asking, in [0, 1], low first. Of an active pair how sure
            its answer is, 1 - gain / log 2; a random pair gets that of some active one by lot, so
            that a batch answered half-way still holds a fair sample.
    """

    prompt: str
    first: str
    second: str
    checkpoint_first: str
    checkpoint_second: str
    reason: Reason
    p_first: float
    gain: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The next batch.

    Attributes:
        chosen: pairs in the order of asking.
        candidates: how many pairs it was chosen from.
        temperatures: reward -> what its margins were divided by.
        judged: judgements that were learned from.
        unmatched: judgements of pictures that the candidates do not hold, or without an answer.
    """

    chosen: Sequence[Chosen]
    candidates: int
    temperatures: Mapping[str, float]
    judged: int
    unmatched: int


@dataclass(frozen=True, slots=True)
class _Judged:
    """Judgements as rows of two pictures (k, 2) and how strongly the first is preferred (k,)."""

    pairs: Integers
    p_first: Floats


def select(
    candidates: Candidates,
    config: SelectionConfig,
    rng: np.random.Generator,
    *,
    judged: Sequence[Preference] = (),
    aspect: str = "overall",
) -> Selection:
    """The next pairs to ask; the same for the same generator.

    Args:
        candidates: what can be asked; see `candidates_from_table`.
        config: how to choose.
        rng: draws the random share, and lots among equals.
        judged: what is known already, about pictures of the same table.
        aspect: which of their answers counts.

    Raises ConfigError if the strategy needs rewards or checkpoints that the candidates lack.
    """
    _check(candidates, config)
    known = _known(candidates, judged, aspect)
    temperatures = _temperatures(candidates, known, config.temperature)
    logits = candidates.margins(candidates.pairs) / temperatures[:, None]
    p_first = sigmoid(logits).mean(0) if len(logits) else np.full(len(candidates), 0.5)
    meetings = Meetings(candidates)
    worth = Worth(
        candidates,
        meetings,
        _gain(candidates, meetings, known, logits, p_first, config),
        prompt_decay=config.prompt_decay,
        picture_decay=config.picture_decay,
        balance=0.0 if config.strategy == "ranking" else config.balance,
        per_prompt=config.per_prompt,
        rng=rng,
    )
    rows, gains, drawn = _choose(worth, len(candidates), config, rng)
    scores = _scores(gains, drawn, rng)
    return Selection(
        chosen=[
            _chosen(candidates, rows[k], k < drawn, p_first[rows[k]], gains[k], scores[k])
            for k in np.argsort(scores, kind="stable").tolist()
        ],
        candidates=len(candidates),
        temperatures=dict(zip(candidates.rewards, temperatures.tolist(), strict=True)),
        judged=len(known.pairs),
        unmatched=len(judged) - len(known.pairs),
    )


def _check(candidates: Candidates, config: SelectionConfig) -> None:
    rewards, checkpoints = len(candidates.rewards), len(set(candidates.checkpoints))
    needed = {"uncertainty": 1, "disagreement": 2}.get(config.strategy, 0)
    if rewards < needed:
        raise ConfigError(
            f"the strategy {config.strategy!r} needs the scores of {needed} or more rewards, "
            f"not {rewards}; score the table with more, or choose another strategy"
        )
    if config.strategy == "ranking" and checkpoints < 2:
        raise ConfigError(
            "the strategy 'ranking' compares checkpoints, but the candidates name "
            f"{checkpoints}; say which column names them"
        )


def _known(candidates: Candidates, judged: Sequence[Preference], aspect: str) -> _Judged:
    """The judgements whose two pictures are among the candidates'."""
    shown = zip(candidates.images, candidates.prompts, strict=True)
    rows = {picture: row for row, picture in enumerate(shown)} if judged else {}
    pairs, p_first = [], []
    for one in judged:
        pair = [rows.get((absolute(image), one.prompt)) for image in (one.first, one.second)]
        if None not in pair and aspect in one.p_first:
            pairs.append(pair)
            p_first.append(one.p_first[aspect])
    return _Judged(
        np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(p_first, dtype=np.float64)
    )


def _temperatures(candidates: Candidates, known: _Judged, given: float | None) -> Floats:
    """One a reward: the given, or what the judgements say."""
    if given is not None:
        return np.full(len(candidates.rewards), given)
    usual = candidates.margins(candidates.pairs)
    found = [
        temperature(margins, known.p_first, usual_temperature(row))
        for margins, row in zip(candidates.margins(known.pairs), usual, strict=True)
    ]
    return np.array(found, dtype=np.float64)


def _gain(
    candidates: Candidates,
    meetings: Meetings,
    known: _Judged,
    logits: Floats,
    p_first: Floats,
    config: SelectionConfig,
) -> Gain:
    if config.strategy == "disagreement":
        return DisagreementGain(logits)
    if config.strategy == "ranking":
        belief = _belief(candidates, meetings, known, p_first, config.spread)
        return RankingGain(meetings, belief)
    return FixedGain(entropy(p_first))


def _belief(
    candidates: Candidates, meetings: Meetings, known: _Judged, p_first: Floats, spread: float
) -> Strengths:
    """Strengths of the checkpoints: what the rewards expect, corrected by the judgements."""
    made_by, count = meetings.checkpoints, meetings.count
    expected = _wins(made_by[candidates.pairs], p_first, count)
    centre = posterior(expected, np.zeros(count), spread).mean
    return posterior(_wins(made_by[known.pairs], known.p_first, count), centre, spread)


def _wins(pairs: Integers, p_first: Floats, count: int) -> Floats:
    """How often each beat each, (count, count); nobody meets itself."""
    wins = np.zeros((count, count))
    i, j = pairs.T
    np.add.at(wins, (i, j), p_first)
    np.add.at(wins, (j, i), 1 - p_first)
    np.fill_diagonal(wins, 0)
    return wins


def _choose(
    worth: Worth, candidates: int, config: SelectionConfig, rng: np.random.Generator
) -> tuple[list[int], list[float], int]:
    """Rows, their gains in nats, and how many of the first were drawn at random."""
    count = min(config.count, candidates)
    drawn = count if config.strategy == "random" else round(config.random_share * count)
    rows = rng.choice(candidates, drawn, replace=False).tolist()
    gains = [worth.take(row) for row in rows]
    while len(rows) < count and (row := worth.best()) is not None:
        rows.append(row)
        gains.append(worth.take(row))
    return rows, gains, drawn


def _scores(gains: Sequence[float], drawn: int, rng: np.random.Generator) -> Floats:
    """How sure each answer is; those drawn at random get that of others by lot."""
    sure = np.clip(1 - np.array(gains) / LARGEST, 0, 1)
    active = sure[drawn:]
    sure[:drawn] = rng.choice(active, drawn) if len(active) else rng.random(drawn)
    return sure


def _chosen(
    candidates: Candidates, row: int, is_drawn: bool, p_first: float, gain: float, score: float
) -> Chosen:
    first, second = candidates.pairs[row].tolist()
    return Chosen(
        prompt=candidates.prompts[first],
        first=candidates.images[first],
        second=candidates.images[second],
        checkpoint_first=candidates.checkpoints[first],
        checkpoint_second=candidates.checkpoints[second],
        reason="random" if is_drawn else "active",
        p_first=float(p_first),
        gain=gain,
        score=float(score),
    )
