"""Bradley-Terry strengths of pictures and the reliability of each annotator, fitted together.

The model is Crowd-BT (Chen, Bennett, Collins-Thompson & Horvitz, WSDM 2013, eq. 5), made Bayesian
so that it also works for two pictures and three annotators:

    P(k prefers i to j) = eta_k sigma(d) + (1 - eta_k) sigma(-d),     d = s_i - s_j,
    s_i ~ Normal(0, tau^2 / 2),     eta_k ~ Beta(faithful + 1, contrary + 1).

A tie is half an answer each way: it pulls d to 0, the more the more reliable its annotator is.
The strengths are integrated out. The answers to one pair depend on d alone, so expectation
propagation (Minka, UAI 2001) has one factor a pair; it is exact where a pair shares no picture
with another pair. eta and tau are then updated by expectation maximisation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beholder.errors import DataError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Vote = tuple[Hashable, Hashable, str, int]
"""Two items, the annotator, and -1 (first is better), 0 (tie) or 1 (second is better)."""

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(
    40
)  # even: no node at d = 0, where no answer tells anything
_SMALLEST_SHARE = 1e-4  # of the cavity's variance: all weight on one node has none
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdPrior:
    """What is believed before any answer is seen.

    Attributes:
        faithful, contrary: pseudo-answers with and against the true order; the prior mean of
            reliability is faithful / (faithful + contrary).
        spread: prior standard deviation of a margin, in logits, worth `spread_pairs` pairs.
        rounds: most updates of the parameters.
        tolerance: it stops when no reliability, no probability and not log(spread) moves further.
    """

    faithful: float = 4.0
    contrary: float = 1.0
    spread: float = 2.0
    spread_pairs: float = 5.0
    rounds: int = 200
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not self.faithful > self.contrary > 0:
            raise DataError(
                f"prior: faithful ({self.faithful}) must exceed contrary ({self.contrary}) and "
                "both be positive, else right and wrong cannot be told apart"
            )


@dataclass(frozen=True, slots=True)
class CrowdFit:
    """What the answers say after all.

    Attributes:
        reliability: annotator -> most probable eta, in (0, 1).
        spread: fitted standard deviation of a margin, in logits.
        probabilities: (item, item) -> probability that the first is better.
    """

    reliability: Mapping[str, float]
    spread: float
    probabilities: Mapping[tuple[Hashable, Hashable], float]

    def p_first(self, first: Hashable, second: Hashable) -> float:
        """Posterior mean of sigma(d) for a pair that was asked; KeyError for others."""
        if (first, second) in self.probabilities:
            return self.probabilities[first, second]
        return 1 - self.probabilities[second, first]


@dataclass(frozen=True, slots=True)
class _Table:
    """Votes as columns, sorted by pair: rows of pair and annotator, credit of `first`."""

    pairs: Sequence[tuple[Hashable, Hashable]]
    annotators: Sequence[str]
    pair: Integers
    annotator: Integers
    credit: Floats


@dataclass(frozen=True, slots=True)
class _Group:
    """Connected components of one size, solved as a batch; an edge is a pair in a component.

    Attributes:
        count, size: number of components, pictures in each.
        pair: edge -> row of the table's pairs.
        component, i, j: edge -> its component and the two pictures' places there.
    """

    count: int
    size: int
    pair: Integers
    component: Integers
    i: Integers
    j: Integers


@dataclass(slots=True)
class _State:
    """Parameters, the Gaussian site of each pair, and the cavity that it sees.

    Attributes:
        eta, spread: the parameters.
        precision, shift: natural parameters of the sites.
        mean, variance: of each margin under everything but its own answers.
        scatter: expected squared distance of strengths from their component's mean, in all.
    """

    eta: Floats
    spread: float
    precision: Floats
    shift: Floats
    mean: Floats
    variance: Floats
    scatter: float = 0.0


def fit_crowd(votes: Sequence[Vote], *, prior: CrowdPrior) -> CrowdFit:
    """Reliabilities and pair probabilities; deterministic. Empty votes give an empty fit.

    Raises DataError if a vote compares an item with itself.
    """
    table = _tabulate(votes)
    groups = _components(table.pairs)
    state = _start(table, prior)
    p_first = np.zeros(len(table.pairs))
    for _ in range(prior.rounds if votes else 0):
        before = np.concatenate([state.eta, [np.log(state.spread)], p_first])
        _remove_own_answers(groups, state)
        margins = state.mean[:, None] + np.sqrt(state.variance)[:, None] * _NODES
        belief = _belief(table, margins, state.eta)
        p_first = (belief * _sigmoid(margins)).sum(1)
        _match_moments(belief, margins, state)
        _update_parameters(table, groups, belief, margins, state, prior)
        after = np.concatenate([state.eta, [np.log(state.spread)], p_first])
        if np.abs(after - before).max() < prior.tolerance:
            break
    return CrowdFit(
        reliability=dict(zip(table.annotators, state.eta.tolist(), strict=True)),
        spread=state.spread,
        probabilities=dict(zip(table.pairs, p_first.tolist(), strict=True)),
    )


def _tabulate(votes: Sequence[Vote]) -> _Table:
    pairs: dict[tuple[Hashable, Hashable], int] = {}
    annotators = {name: row for row, name in enumerate(sorted({vote[2] for vote in votes}))}
    rows = np.zeros((len(votes), 2), dtype=np.int64)
    credit = np.zeros(len(votes))
    for n, (first, second, annotator, value) in enumerate(votes):
        if first == second:
            raise DataError(f"vote {n} compares {first!r} with itself; leave it out")
        turned = (second, first) in pairs
        pair = pairs.setdefault((second, first) if turned else (first, second), len(pairs))
        rows[n] = pair, annotators[annotator]
        credit[n] = (1 + value) / 2 if turned else (1 - value) / 2
    order = np.argsort(rows[:, 0], kind="stable")
    pair, annotator = rows[order].T
    return _Table(list(pairs), list(annotators), pair, annotator, credit[order])


def _components(pairs: Sequence[tuple[Hashable, Hashable]]) -> list[_Group]:
    """The graph's connected components, grouped by size."""
    root: dict[Hashable, Hashable] = {item: item for pair in pairs for item in pair}

    def find(item: Hashable) -> Hashable:
        while root[item] != item:
            root[item] = item = root[root[item]]
        return item

    for first, second in pairs:
        root[find(first)] = find(second)
    members: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
    for item in root:
        members[find(item)].append(item)
    by_size: defaultdict[int, list[list[Hashable]]] = defaultdict(list)
    for items in members.values():
        by_size[len(items)].append(items)
    return [_group(batch, pairs) for batch in by_size.values()]


def _group(
    components: Sequence[Sequence[Hashable]], pairs: Sequence[tuple[Hashable, Hashable]]
) -> _Group:
    place = {item: (c, k) for c, items in enumerate(components) for k, item in enumerate(items)}
    edges = [
        (row, place[first][0], place[first][1], place[second][1])
        for row, (first, second) in enumerate(pairs)
        if first in place
    ]
    pair, component, i, j = np.array(edges, dtype=np.int64).T
    return _Group(len(components), len(components[0]), pair, component, i, j)


def _start(table: _Table, prior: CrowdPrior) -> _State:
    nothing = np.zeros(len(table.pairs))
    mean = prior.faithful / (prior.faithful + prior.contrary)
    eta = np.full(len(table.annotators), mean)
    return _State(eta, prior.spread, nothing, nothing, nothing.copy(), nothing.copy())


def _remove_own_answers(groups: Sequence[_Group], state: _State) -> None:
    """Fill in each margin's cavity: its marginal divided by its own site."""
    state.scatter = 0.0
    for group in groups:
        covariance, means = _posterior(group, state)
        c, i, j = group.component, group.i, group.j
        mean = means[c, i] - means[c, j]
        variance = covariance[c, i, i] + covariance[c, j, j] - 2 * covariance[c, i, j]
        state.variance[group.pair] = 1 / (1 / variance - state.precision[group.pair])
        state.mean[group.pair] = state.variance[group.pair] * (
            mean / variance - state.shift[group.pair]
        )
        moment = covariance + means[:, :, None] * means[:, None, :]
        state.scatter += float(np.einsum("cii->", moment) - moment.sum() / group.size)


def _posterior(group: _Group, state: _State) -> tuple[Floats, Floats]:
    """Covariance (c, n, n) and mean (c, n) of the strengths, all sites multiplied."""
    c, i, j = group.component, group.i, group.j
    r, shift = state.precision[group.pair], state.shift[group.pair]
    precision = np.tile(np.eye(group.size) * 2 / state.spread**2, (group.count, 1, 1))
    total = np.zeros((group.count, group.size))
    for row, column, value in ((i, i, r), (j, j, r), (i, j, -r), (j, i, -r)):
        np.add.at(precision, (c, row, column), value)
    np.add.at(total, (c, i), shift)
    np.add.at(total, (c, j), -shift)
    covariance = np.linalg.inv(precision).astype(np.float64)
    return covariance, np.einsum("cij,cj->ci", covariance, total)


def _belief(table: _Table, margins: Floats, eta: Floats) -> Floats:
    """Posterior weights of the margins (pairs, nodes): the cavity times the answers."""
    p = _sigmoid(margins)[table.pair]
    trust = eta[table.annotator][:, None]
    credit = table.credit[:, None]
    first = trust * p + (1 - trust) * (1 - p)
    log_answers = credit * np.log(first) + (1 - credit) * np.log1p(-first)
    starts = np.searchsorted(table.pair, np.arange(len(margins)))
    log_belief = _LOG_WEIGHTS + np.add.reduceat(log_answers, starts)
    belief = np.exp(log_belief - log_belief.max(1, keepdims=True))
    return np.asarray(belief / belief.sum(1, keepdims=True), dtype=np.float64)


def _match_moments(belief: Floats, margins: Floats, state: _State) -> None:
    """Move each site half-way to the one that gives its margin's true mean and variance."""
    mean = (belief * margins).sum(1)
    variance = (belief * (margins - mean[:, None]) ** 2).sum(1)
    variance = np.maximum(variance, _SMALLEST_SHARE * state.variance)
    precision = np.maximum(1 / variance - 1 / state.variance, 0.0)
    shift = mean * (1 / state.variance + precision) - state.mean / state.variance
    state.precision = (state.precision + precision) / 2
    state.shift = (state.shift + shift) / 2


def _update_parameters(
    table: _Table,
    groups: Sequence[_Group],
    belief: Floats,
    margins: Floats,
    state: _State,
    prior: CrowdPrior,
) -> None:
    """One step of expectation maximisation."""
    answers = np.bincount(table.annotator, minlength=len(state.eta))
    faithful = _faithful_answers(table, belief, margins, state.eta)
    eta = (faithful + prior.faithful) / (answers + prior.faithful + prior.contrary)
    freedom = sum(group.count * (group.size - 1) for group in groups)
    believed = prior.spread_pairs * prior.spread**2
    state.eta = eta
    state.spread = float(np.sqrt((2 * state.scatter + believed) / (freedom + prior.spread_pairs)))


def _faithful_answers(table: _Table, belief: Floats, margins: Floats, eta: Floats) -> Floats:
    """Expected number of each annotator's answers that follow the true order."""
    p = _sigmoid(margins)[table.pair]
    trust = eta[table.annotator][:, None]
    first = trust * p / (trust * p + (1 - trust) * (1 - p))
    second = trust * (1 - p) / (trust * (1 - p) + (1 - trust) * p)
    credit = table.credit[:, None]
    expected = (belief[table.pair] * (credit * first + (1 - credit) * second)).sum(1)
    counts = np.bincount(table.annotator, weights=expected, minlength=len(eta))
    return counts.astype(np.float64)


def _sigmoid(margins: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(margins / 2)), dtype=np.float64)
