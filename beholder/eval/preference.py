"""How often a reward prefers the picture that people prefer, by the protocols of `protocols.py`.

Each picture is scored once for its prompt; pairs are edges between the scores. A picture without a
score is named with the reason, and its pairs are counted as left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import LEVEL, Floats
from beholder.eval._sheets.evaluation import evaluation_sheet
from beholder.eval.protocols import NEEDS_THRESHOLD, pair_accuracy, protocol_named
from beholder.eval.protocols import PROTOCOLS as PROTOCOLS
from beholder.eval.protocols import Accuracy as Accuracy
from beholder.eval.protocols import ProtocolName as ProtocolName
from beholder.eval.protocols import choose_tie_threshold as choose_tie_threshold
from beholder.eval.protocols import log_loss as log_loss
from beholder.eval.protocols import pair_credit as pair_credit
from beholder.types import Preference, Scores

_AT_ONCE = 512  # pictures between two calls of `progress`
GIVEN = "given"
"""Where a tie threshold comes from that nobody chose on data."""


@runtime_checkable
class PictureScorer(Protocol):
    """Whatever scores pictures for prompts; every `beholder.Reward` does."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        """Scores of pictures, one prompt each; failures in `Scores.errors`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Pair accuracy of every aspect that people answered, with the protocol that gave it.

    Attributes:
        protocol, meaning: the protocol's id, such as "hpdv2/1", and what it counts.
        aspects: aspect -> accuracy.
        scored_by: aspect -> which score decided: the aspect's own or "total".
        level, draws, seed: of the bootstrap over prompts.
        pairs: preferences that were given, with an answer or without.
        pictures: distinct pairs of picture and prompt that were scored.
        unreadable: picture -> why it has no score; its pairs do not count.
        pairs_left_out: pairs with such a picture.
        tie_threshold_from: "given", or the pairs on which it was chosen; "" without one.
    """

    protocol: str
    meaning: str
    aspects: Mapping[str, Accuracy]
    scored_by: Mapping[str, str]
    level: float
    draws: int
    seed: int
    pairs: int
    pictures: int
    unreadable: Mapping[str, str]
    pairs_left_out: int
    tie_threshold_from: str = ""

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)

    def __repr__(self) -> str:
        return evaluation_sheet(self).text()

    def _repr_html_(self) -> str:
        return evaluation_sheet(self).html()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """Everything that moves the number of one reward on given scores.

    Attributes:
        protocol: one of `PROTOCOLS`.
        tie_thresholds: aspect -> threshold of the pickapic protocol; empty for the others.
        tie_threshold_from: "given", or the name of the pairs on which they were chosen.
        draws, seed: of the bootstrap over prompts.
    """

    protocol: str = "imagereward"
    tie_thresholds: Mapping[str, float] = field(default_factory=dict)
    tie_threshold_from: str = ""
    draws: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class AnsweredPairs:
    """The pairs of one aspect that have an answer and two scores.

    Attributes:
        margin: score differences, first minus second, (pairs,).
        p_first: the share of people who prefer the first, (pairs,).
        prompts, rankings: of each pair.
    """

    margin: Floats
    p_first: Floats
    prompts: Sequence[str]
    rankings: Sequence[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.p_first)


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Scores of the distinct pictures of preferences, and where each preference finds its two.

    Attributes:
        preferences: what people said.
        nodes: picture and prompt of each score.
        scores: without maps and words.
        rows: for each preference the rows of its first and second picture.
        rankings: for each preference its prompt and question. Questions about two pictures have
            no name here: those of one prompt make up one ranking.
    """

    preferences: Sequence[Preference]
    nodes: Sequence[tuple[str, str]]
    scores: Scores
    rows: Sequence[tuple[int, int]]
    rankings: Sequence[tuple[str, str]]

    def answered(self) -> list[str]:
        """The aspects that anybody answered."""
        return list(dict.fromkeys(aspect for p in self.preferences for aspect in p.p_first))

    def scored_by(self, aspect: str) -> str:
        """Which score judges an aspect: the one of its name, else "total"."""
        return aspect if aspect in self.scores.aspects else "total"

    def unreadable(self) -> dict[str, str]:
        """Picture -> why it has no score."""
        return {self.nodes[row][0]: why for row, why in self.scores.errors.items()}

    def usable(self) -> list[int]:
        """The preferences whose two pictures have a score."""
        bad = self.scores.errors
        return [k for k, (i, j) in enumerate(self.rows) if i not in bad and j not in bad]

    def answers(self, aspect: str, among: Collection[int] | None = None) -> AnsweredPairs:
        """The usable pairs with an answer, or those `among` them."""
        chosen = self.usable() if among is None else sorted(among)
        rows = [k for k in chosen if aspect in self.preferences[k].p_first]
        values = self.scores.named(self.scored_by(aspect)).double().numpy()
        ends = np.array([self.rows[k] for k in rows], dtype=np.int64).reshape(-1, 2)
        said = [self.preferences[k] for k in rows]
        return AnsweredPairs(
            values[ends[:, 0]] - values[ends[:, 1]],
            np.array([p.p_first[aspect] for p in said], dtype=np.float64),
            [p.prompt for p in said],
            [self.rankings[k] for k in rows],
        )


def evaluate(
    reward: PictureScorer,
    preferences: Sequence[Preference],
    *,
    protocol: str = "imagereward",
    tie_threshold: float | None = None,
    validation: Sequence[Preference] = (),
    draws: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Pair accuracy of a reward on people's preferences, each picture scored once a prompt.

    An aspect is judged by the reward's score of that name, or by its total if it has none.

    Args:
        reward: scores pictures for prompts.
        preferences: what people prefer; their pictures are paths.
        protocol: "imagereward", "hpdv2", "pickapic" or "mhp"; see `beholder.eval.protocols`.
        tie_threshold: of the pickapic protocol.
        validation: or preferences on which it is chosen for each aspect.
        draws: how often prompts are redrawn.
        seed: of the draws.

    Raises:
        ConfigError: if the protocol is unknown, or pickapic has neither threshold nor validation.
        DataError: if there is no preference.
    """
    check_threshold(protocol, tie_threshold, given=bool(validation))
    scored = score_pairs(reward, preferences)
    tuning = score_pairs(reward, validation) if validation else None
    counting = Counting(
        protocol=protocol,
        tie_thresholds=tie_thresholds(scored, tie_threshold, tuning),
        tie_threshold_from=_origin(tie_threshold, "validation" if validation else ""),
        draws=draws,
        seed=seed,
    )
    return measure(scored, counting)


def measure(scored: ScoredPairs, counting: Counting) -> Evaluation:
    """The accuracy of every answered aspect of pairs that are scored already."""
    kind = protocol_named(counting.protocol)
    return Evaluation(
        protocol=kind.id,
        meaning=kind.meaning,
        aspects={a: _accuracy(scored, a, counting) for a in scored.answered()},
        scored_by={a: scored.scored_by(a) for a in scored.answered()},
        level=LEVEL,
        draws=counting.draws,
        seed=counting.seed,
        pairs=len(scored.preferences),
        pictures=len(scored.scores),
        unreadable=scored.unreadable(),
        pairs_left_out=len(scored.preferences) - len(scored.usable()),
        tie_threshold_from=counting.tie_threshold_from,
    )


def score_pairs(
    reward: PictureScorer,
    preferences: Sequence[Preference],
    *,
    progress: Callable[[int], object] | None = None,
) -> ScoredPairs:
    """Every distinct picture of the preferences, scored once for its prompt.

    `progress` is called with the number of pictures that were scored since the last call.
    Raises DataError if there is no preference.
    """
    if not preferences:
        raise DataError("there is no preference to evaluate on")
    row: dict[tuple[str, str], int] = {}
    rows = [
        (
            row.setdefault((p.first, p.prompt), len(row)),
            row.setdefault((p.second, p.prompt), len(row)),
        )
        for p in preferences
    ]
    nodes = list(row)
    parts = []
    for start in range(0, len(nodes), _AT_ONCE):
        some = nodes[start : start + _AT_ONCE]
        scores = reward.score([image for image, _ in some], [prompt for _, prompt in some])
        parts.append(replace(scores.detach(), maps={}, words=()))  # maps of thousands fill memory
        if progress is not None:
            progress(len(some))
    return ScoredPairs(preferences, nodes, Scores.concatenate(parts), rows, _rankings(preferences))


def count_pictures(preferences: Sequence[Preference]) -> int:
    """How many pictures `score_pairs` will score."""
    return len({(side, p.prompt) for p in preferences for side in (p.first, p.second)})


def tie_thresholds(
    scored: ScoredPairs, tie_threshold: float | None, validation: ScoredPairs | None
) -> dict[str, float]:
    """Aspect -> the threshold that was given, or that is best on the validation pairs.

    Empty if there is neither. Raises DataError if an aspect has no validation pair.
    """
    if validation is not None:
        answers = {aspect: validation.answers(aspect) for aspect in scored.answered()}
        if missing := [aspect for aspect, x in answers.items() if not len(x.margin)]:
            raise DataError(
                f"no validation pair has an answer to {', '.join(missing)}, so its tie threshold "
                "cannot be chosen; give other pairs, or a tie threshold"
            )
        return {a: choose_tie_threshold(x.margin, x.p_first) for a, x in answers.items()}
    return {} if tie_threshold is None else dict.fromkeys(scored.answered(), tie_threshold)


def check_threshold(protocol: str, tie_threshold: float | None, *, given: bool) -> None:
    """Raise ConfigError unless the protocol gets the threshold, or the pairs `given` for it."""
    kind = protocol_named(protocol)
    if not kind.ties and (tie_threshold is not None or given):
        raise ConfigError(f"the {protocol} protocol takes no tie threshold and no validation")
    if kind.ties and (tie_threshold is None) == (not given):
        raise ConfigError(NEEDS_THRESHOLD)


def _accuracy(scored: ScoredPairs, aspect: str, counting: Counting) -> Accuracy:
    pairs = scored.answers(aspect)
    return pair_accuracy(
        pairs.margin,
        pairs.p_first,
        pairs.prompts,
        counting.protocol,
        counting.tie_thresholds.get(aspect),
        rankings=pairs.rankings,
        draws=counting.draws,
        seed=counting.seed,
    )


def _rankings(preferences: Sequence[Preference]) -> list[tuple[str, str]]:
    pictures: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for p in preferences:
        pictures[p.prompt, p.key] |= {p.first, p.second}
    return [(p.prompt, p.key if len(pictures[p.prompt, p.key]) > 2 else "") for p in preferences]


def _origin(tie_threshold: float | None, validation: str) -> str:
    return validation or (GIVEN if tie_threshold is not None else "")
