"""How a reward stands on held-out judgements, prompt by prompt, so that runs are redrawn together.

Every measure is made of sums over prompts: redrawing prompts redraws the sums.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from beholder.eval._features import Array
from beholder.eval.correlation import mean_ranks
from beholder.eval.preference import PictureScorer, pair_credit
from beholder.training.judged.rated import Rated
from beholder.training.losses import aspect_score
from beholder.types import Preference, Scores

Floats = npt.NDArray[np.float64]
ACCURACY, CORRELATION = "accuracy", "srcc"
_COLUMNS = {ACCURACY: 2, CORRELATION: 6}


@dataclass(frozen=True, slots=True)
class Standing:
    """Sums over the judgements of each held-out prompt.

    Attributes:
        measure: "accuracy" by the protocol imagereward, or "srcc", Spearman's correlation.
        sums: aspect -> a row for each prompt, in order of first appearance, the same for every
            reward. Of an accuracy: right pairs, and pairs without a human tie. Of a correlation:
            ratings, and with x the rank of the score and y that of the rating among all held-out
            ones x, y, x², y² and xy.
        left_out: judgements with a picture that cannot be read.
    """

    measure: str
    sums: Mapping[str, Sequence[Sequence[float]]]
    left_out: int = 0

    def table(self, aspect: str | None = None) -> Float64[Array, "prompts c"]:
        """The sums of an aspect, or of all side by side."""
        named = list(self.sums) if aspect is None else [aspect]
        return np.concatenate([np.array(self.sums[a], dtype=np.float64) for a in named], axis=1)

    def judged(self, aspect: str | None = None) -> int:
        """Judgements that count."""
        at = 1 if self.measure == ACCURACY else 0
        columns = _COLUMNS[self.measure]
        return int(self.table(aspect)[:, at::columns].sum())

    def values(self, sums: Float64[Array, "k c"]) -> Float64[Array, " k"]:
        """The measure of sums over prompts, of one aspect or of several side by side.

        Accuracy counts the answers of all aspects alike; a correlation is the mean over aspects.
        NaN where it is not defined.
        """
        parts = sums.reshape(len(sums), -1, _COLUMNS[self.measure])
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.measure == ACCURACY:
                right, counted = parts.sum(axis=1).T
                found: Floats = right / counted
            else:
                found = _correlations(parts).mean(axis=1)
        return found


def stand(
    reward: PictureScorer,
    judged: Sequence[Preference] | Sequence[Rated],
    aspects: Collection[str],
) -> Standing:
    """Score each held-out picture once a prompt and count.

    A picture that cannot be read takes its judgements out, whatever the reward. Of pairs, a score
    that is not finite is wrong.
    """
    pairs = [one for one in judged if isinstance(one, Preference)]
    if pairs:
        return _of_pairs(reward, pairs, aspects)
    return _of_ratings(reward, [one for one in judged if isinstance(one, Rated)], aspects)


def group_of(judged: Preference | Rated) -> str:
    """What stays together: the prompt; a picture that has none is alone."""
    return judged.prompt or (judged.image if isinstance(judged, Rated) else "")


def _of_pairs(
    reward: PictureScorer, pairs: Sequence[Preference], aspects: Collection[str]
) -> Standing:
    rows: dict[tuple[str, str], int] = {}
    edges = np.array(
        [
            [rows.setdefault((picture, p.prompt), len(rows)) for picture in (p.first, p.second)]
            for p in pairs
        ]
    )
    scores = _score(reward, list(rows))
    unread = [k for k, why in scores.errors.items() if not why.startswith("non-finite")]
    usable = ~np.isin(edges, unread).any(axis=1)
    group, groups = _groups(pairs)
    sums = {}
    for aspect in aspects:
        answered = np.array([aspect in p.p_first for p in pairs]) & usable
        p_first = np.array([p.p_first.get(aspect, 0.5) for p in pairs], dtype=np.float64)[answered]
        values = aspect_score(scores, aspect).double().numpy()
        first, second = edges[answered].T
        credit, counts = pair_credit(values[first] - values[second], p_first, "imagereward", None)
        if answered.any():
            columns = (credit, counts.astype(np.float64))
            sums[aspect] = _by_group(columns, group[answered], groups)
    return Standing(ACCURACY, sums, int((~usable).sum()))


def _of_ratings(
    reward: PictureScorer, rated: Sequence[Rated], aspects: Collection[str]
) -> Standing:
    scores = _score(reward, [(one.image, one.prompt) for one in rated])
    usable = ~np.isin(np.arange(len(rated)), list(scores.errors))
    group, groups = _groups(rated)
    sums = {}
    for aspect in aspects:
        answered = np.array([aspect in one.values for one in rated]) & usable
        truth = np.array([one.values.get(aspect, 0.0) for one in rated], dtype=np.float64)[answered]
        said = aspect_score(scores, aspect).double().numpy()[answered]
        if answered.any():
            x, y = (_ranks(values) for values in (said, truth))
            columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
            sums[aspect] = _by_group(columns, group[answered], groups)
    return Standing(CORRELATION, sums, int((~usable).sum()))


def _score(reward: PictureScorer, nodes: Sequence[tuple[str, str]]) -> Scores:
    return reward.score([picture for picture, _ in nodes], [prompt for _, prompt in nodes]).detach()


def _groups(judged: Sequence[Preference] | Sequence[Rated]) -> tuple[npt.NDArray[np.int64], int]:
    """The number of each judgement's prompt, and how many prompts there are."""
    numbers: dict[str, int] = {}
    rows = [numbers.setdefault(group_of(one), len(numbers)) for one in judged]
    return np.array(rows, dtype=np.int64), len(numbers)


def _by_group(
    columns: Sequence[Floats], group: npt.NDArray[np.int64], groups: int
) -> list[list[float]]:
    sums = np.stack([np.bincount(group, column, groups) for column in columns], axis=1)
    return [[float(value) for value in row] for row in sums]


def _ranks(values: Floats) -> Floats:
    """Centred, so that sums of squares lose no digits; between -1 and 1."""
    ranks = np.asarray(mean_ranks(np.unique(values, return_inverse=True)[1]), dtype=np.float64)
    centred: Floats = (ranks - ranks.mean()) / max(1, len(ranks))
    return centred


def _correlations(parts: Float64[Array, "k a 6"]) -> Float64[Array, "k a"]:
    n, x, y, xx, yy, xy = np.moveaxis(parts, -1, 0)
    spread = np.sqrt((n * xx - x * x) * (n * yy - y * y))
    found: Floats = np.where(spread > 0, (n * xy - x * y) / spread, np.nan)
    return found
