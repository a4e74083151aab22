"""Which words a picture misses: precision, recall and F1 by two rules, and their probabilities.

- published (the code around RichHF, Liang et al., CVPR 2024): prediction and truth are texts in
  which `_0` ends a misaligned word. Words are compared place by place; one that is not the true
  word at its place is never correct. Precision, recall and F1 of "misaligned" are taken for each
  sample, 0 where they are not defined, and averaged; a sample without any misaligned word thus
  counts 0 however well it is answered.
- micro: true positives, false positives and false negatives are added over all words first.

The numbers of the two rules cannot be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from beholder.errors import DataError
from beholder.eval._bootstrap import Floats
from beholder.eval._estimate import Estimate, Ratio, estimates, mean_of
from beholder.types import WordLabel

MARK = "_0"
"""Ends a misaligned word in the published texts."""

BINS = 15
"""Of the calibration error, equally wide (Guo et al., 2017)."""

MarkedWord = tuple[str, bool]
"""A word, and whether it is misaligned."""

_NO_PROBABILITIES = "the words have no probabilities"


def marked_words(text: str) -> list[MarkedWord]:
    """The words of a published text, such as "a yellow_0 cat"."""
    return [(word.removesuffix(MARK), word.endswith(MARK)) for word in text.split()]


def average_precision(p: Floats, misaligned: npt.NDArray[np.bool_]) -> float:
    """Mean of the precision over the recall, in [0, 1]; NaN if no word is misaligned.

    Words of equal probability are found together; precision is not interpolated.
    """
    if not misaligned.any():
        return np.nan
    order = np.argsort(-p, kind="stable")
    last_of_equals = np.flatnonzero(np.append(np.diff(p[order]) != 0, [True]))
    hits = np.cumsum(misaligned[order])[last_of_equals]
    precision, recall = hits / (last_of_equals + 1), hits / hits[-1]
    return float((precision * np.diff(recall, prepend=0.0)).sum())


def calibration_error(p: Floats, misaligned: npt.NDArray[np.bool_]) -> float:
    """Mean distance of stated and true share of misaligned words over `BINS`, in [0, 1]."""
    bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, p - misaligned, minlength=BINS)
    return float(np.abs(gaps).sum() / len(p))


class KeywordMeasures:
    """Gathers samples one after another.

    Args:
        threshold: a word of a higher probability is predicted to be misaligned.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self._threshold = threshold
        self._counts: list[tuple[int, int, int]] = []
        self._p: list[float] = []
        self._misaligned: list[bool] = []

    def add(self, predicted: Sequence[MarkedWord], target: Sequence[MarkedWord]) -> None:
        """Count one sample's words place by place; further predicted words are ignored."""
        pairs = list(zip(predicted, target, strict=False))
        marked = [missed for guess, (word, missed) in pairs if guess == (word, True)]
        self._counts.append((sum(marked), len(marked), sum(missed for _, missed in target)))

    def add_probabilities(self, p: Sequence[float], misaligned: Sequence[bool]) -> None:
        """Count one sample's words by their probabilities to be misaligned.

        Raises DataError if the lengths differ or a probability is not in [0, 1].
        """
        if len(p) != len(misaligned):
            raise DataError(f"{len(p)} probabilities for {len(misaligned)} words; give one each")
        if wrong := [value for value in p if not 0 <= value <= 1]:
            raise DataError(f"the probability {wrong[0]} of a word is not in [0, 1]")
        marked = [
            missed for value, missed in zip(p, misaligned, strict=True) if value > self._threshold
        ]
        self._counts.append((sum(marked), len(marked), sum(misaligned)))
        self._p += p
        self._misaligned += misaligned

    def add_labels(self, predicted: Sequence[WordLabel], target: Sequence[WordLabel]) -> int:
        """Count one sample's labelled words; how many true words have no prediction.

        A true word is misaligned if most annotators say so. It takes the highest probability of
        the predicted words that share a character with it; without any it counts as not marked.
        """
        p = [_overlapping(word, predicted) for word in target]
        self.add_probabilities(
            [value or 0.0 for value in p], [word.p_misaligned > 0.5 for word in target]
        )
        return p.count(None)

    def __len__(self) -> int:
        return len(self._counts)

    def estimates(self, *, draws: int = 2000, seed: int = 0) -> dict[str, Estimate]:
        """Precision, recall and F1 by both rules, and what the probabilities are worth.

        Names are "published.precision", ".recall", ".f1", the same of "micro", and
        "average_precision" and "calibration_error", whose `samples` are words and which have no
        interval. The other intervals redraw samples. Raises ConfigError if
        `draws` is not positive.
        """
        counts = np.array(self._counts, np.float64).reshape(-1, 3)
        ratios = {**_published(counts), **_micro(counts)}
        return {**estimates(ratios, draws=draws, seed=seed), **self._of_probabilities()}

    def _of_probabilities(self) -> dict[str, Estimate]:
        p, misaligned = np.array(self._p, np.float64), np.array(self._misaligned, bool)
        if not len(p):
            nothing = Estimate(value=None, samples=0, why=_NO_PROBABILITIES)
            return dict.fromkeys(("average_precision", "calibration_error"), nothing)
        found = average_precision(p, misaligned) if misaligned.any() else None
        why = "" if misaligned.any() else "no word is misaligned"
        return {
            "average_precision": Estimate(value=found, samples=len(p), why=why),
            "calibration_error": Estimate(value=calibration_error(p, misaligned), samples=len(p)),
        }


def _published(counts: Floats) -> dict[str, Ratio]:
    everything = np.ones(len(counts))
    return {
        f"published.{name}": mean_of(_or_zero(top, bottom), everything, "there is no sample")
        for name, (top, bottom) in _rates(counts).items()
    }


def _micro(counts: Floats) -> dict[str, Ratio]:
    nothing = {
        "precision": "no word is predicted to be misaligned",
        "recall": "no word is misaligned",
        "f1": "no word is misaligned or predicted to be",
    }
    return {
        f"micro.{name}": Ratio(top, bottom, nothing[name])
        for name, (top, bottom) in _rates(counts).items()
    }


def _rates(counts: Floats) -> dict[str, tuple[Floats, Floats]]:
    hits, marked, missed = counts.T
    return {
        "precision": (hits, marked),
        "recall": (hits, missed),
        "f1": (2 * hits, marked + missed),
    }


def _or_zero(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)


def _overlapping(word: WordLabel, predicted: Sequence[WordLabel]) -> float | None:
    near = (p.p_misaligned for p in predicted if p.start < word.end and word.start < p.end)
    return max(near, default=None)
