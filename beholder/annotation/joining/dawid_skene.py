"""The true label of each item and the habits of each annotator, fitted together.

The model is that of Dawid and Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using
the EM Algorithm", 1979: item i has one true label c with probability pi_c, and annotator k gives
label l with probability theta^k_cl, whatever else is known of the item,

    P(T_i = c | answers) ~ pi_c  prod_k prod_l (theta^k_cl)^(n^k_il),

where n^k_il counts how often k said l of i. Expectation maximisation starts at the share of votes.
Pseudo-answers keep theta from 0 and 1 where an annotator answered little; the fit is then the mode
of the posterior under Dirichlet priors.

Labels of a pair are first, tie, second, and which picture is first is arbitrary. Mirrored labels
make the model say so: pi and every theta stay the same when label l becomes K - 1 - l, so that
turning an item turns its posterior and nothing else. (An annotator who favours the left side errs
as often to the first as to the second, for the sides of a task are drawn by lot.)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beholder.annotation.trust.intervals import Floats, Integers
from beholder.errors import DataError

Vote = tuple[Hashable, str, int]
"""The item, the annotator, and the label from 0 to K - 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DawidSkenePrior:
    """What is believed before any answer is seen, and when the fit is done.

    Attributes:
        right: pseudo-answers of every annotator that give an item's true label, of each label.
        wrong: pseudo-answers that give another label, of each true and each other label.
        items: pseudo-items of each label.
        rounds: most steps of expectation maximisation.
        tolerance: it stops when no posterior moves further.
    """

    right: float = 2.0
    wrong: float = 0.5
    items: float = 1.0
    rounds: int = 500
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if not (self.right >= 0 and self.wrong >= 0 and self.items >= 0):
            raise DataError(
                f"prior: right ({self.right}), wrong ({self.wrong}) and items ({self.items}) are "
                "counts, expected none below 0"
            )


@dataclass(frozen=True, slots=True)
class DawidSkeneFit:
    """What the answers say after all.

    Attributes:
        posteriors: item -> probability of each label.
        confusion: annotator -> theta, a row for each true label, a column for each given one.
        labels: pi, how common each label is.
    """

    posteriors: Mapping[Hashable, Sequence[float]]
    confusion: Mapping[str, Sequence[Sequence[float]]]
    labels: Sequence[float]

    def reliability(self) -> dict[str, float]:
        """Annotator -> probability in [0, 1] that an answer is the true label."""
        return {
            who: sum(share * theta[c][c] for c, share in enumerate(self.labels))
            for who, theta in self.confusion.items()
        }


@dataclass(frozen=True, slots=True)
class _Table:
    """Votes as columns, sorted by item."""

    items: Sequence[Hashable]
    annotators: Sequence[str]
    item: Integers
    annotator: Integers
    label: Integers


def fit_dawid_skene(
    votes: Sequence[Vote],
    *,
    labels: int = 3,
    mirrored: bool = True,
    prior: DawidSkenePrior | None = None,
) -> DawidSkeneFit:
    """Posteriors, confusion and how common labels are; deterministic. Empty votes, empty fit.

    Raises DataError if a label lies outside 0 to `labels` - 1.
    """
    prior = prior or DawidSkenePrior()
    table = _tabulate(votes, labels)
    posterior = _shares(table, labels)
    theta, pi = _update(table, posterior, prior, mirrored=mirrored)
    for _ in range(prior.rounds if votes else 0):
        before = posterior
        posterior = _posterior(table, theta, pi)
        theta, pi = _update(table, posterior, prior, mirrored=mirrored)
        if np.abs(posterior - before).max() < prior.tolerance:
            break
    return DawidSkeneFit(
        posteriors=dict(zip(table.items, posterior.tolist(), strict=True)),
        confusion=dict(zip(table.annotators, theta.tolist(), strict=True)),
        labels=pi.tolist(),
    )


def _tabulate(votes: Sequence[Vote], labels: int) -> _Table:
    items: dict[Hashable, int] = {}
    annotators = {name: row for row, name in enumerate(sorted({vote[1] for vote in votes}))}
    rows = np.zeros((len(votes), 3), dtype=np.int64)
    for n, (item, annotator, label) in enumerate(votes):
        if not 0 <= label < labels:
            raise DataError(f"vote {n} has label {label}, expected 0 to {labels - 1}")
        rows[n] = items.setdefault(item, len(items)), annotators[annotator], label
    item, annotator, label = rows[np.argsort(rows[:, 0], kind="stable")].T
    return _Table(list(items), list(annotators), item, annotator, label)


def _shares(table: _Table, labels: int) -> Floats:
    """The share of votes for each label (items, labels)."""
    votes = np.zeros((len(table.items), labels))
    np.add.at(votes, (table.item, table.label), 1.0)
    return _normalised(votes)


def _update(
    table: _Table, posterior: Floats, prior: DawidSkenePrior, *, mirrored: bool
) -> tuple[Floats, Floats]:
    """Each theta (annotators, labels, labels) and pi (labels): eqs. 2.3, 2.4 and pseudo-counts."""
    k = posterior.shape[1]
    counts: Floats = np.zeros((len(table.annotators), k, k))  # given label, then true label
    np.add.at(counts, (table.annotator, table.label), posterior[table.item])
    counts = counts.swapaxes(1, 2)
    items = posterior.sum(0)
    if mirrored:
        counts = (counts + counts[:, ::-1, ::-1]) / 2
        items = (items + items[::-1]) / 2
    pseudo = prior.wrong + (prior.right - prior.wrong) * np.eye(k)
    return _normalised(counts + pseudo), _normalised(items + prior.items)


def _posterior(table: _Table, theta: Floats, pi: Floats) -> Floats:
    """Probability of each label (items, labels): eq. 2.5."""
    with np.errstate(divide="ignore"):
        log_theta, log_pi = np.log(theta), np.log(pi)
    answers = log_theta[table.annotator, :, table.label]
    starts = np.searchsorted(table.item, np.arange(len(table.items)))
    belief = log_pi + np.add.reduceat(answers, starts)
    return _normalised(np.exp(belief - belief.max(1, keepdims=True)))


def _normalised(counts: Floats) -> Floats:
    """Each last row divided by its sum; even where the sum is 0."""
    total = counts.sum(-1, keepdims=True)
    even = np.full_like(counts, 1 / counts.shape[-1])
    return np.asarray(np.divide(counts, total, out=even, where=total > 0), dtype=np.float64)
