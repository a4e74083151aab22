"""The best rows: of each group, and within a budget that strata share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from beholder.eval._filter.judging import Judged
from beholder.eval._filter.rule import Rule
from beholder.eval._filter.statistics import Codes, Floats, Rows


def keep_top(judged: Judged, rule: Rule) -> None:
    """Drop what is not among the top of its group."""
    if rule.top is None:
        return
    left = judged.left()
    groups = judged.groups[left] if rule.by else np.zeros(len(left), np.int32)
    members = np.bincount(groups, minlength=1)
    worse = left[beyond(judged.scores[left], groups, _top(rule.top, members))]
    judged.drop(worse, f"not in the top {rule.top:g} by {rule.score}", rule.top_stage)


def keep_budget(judged: Judged, rule: Rule) -> None:
    """Drop what the budget has no room for."""
    if rule.budget is None:
        return
    left = judged.left()
    strata = judged.strata[left] if rule.stratify else np.zeros(len(left), np.int32)
    given = np.bincount(strata, minlength=max(1, len(judged.strata_names)))
    whole = np.bincount(judged.strata[judged.strata >= 0], minlength=len(given))
    weights = [1] * len(given) if rule.shares == "equal" or not rule.stratify else whole.tolist()
    quotas = np.array(shared(rule.budget, weights, given.tolist()), np.int64)
    worse = left[beyond(judged.scores[left], strata, quotas)]
    judged.drop(worse, f"beyond the budget of {rule.budget} by {rule.score}", rule.budget_stage)


def beyond(scores: Floats, groups: Codes, quotas: npt.NDArray[np.int64]) -> Rows:
    """The rows that are not among the highest `quotas[g]` of their group g; earlier ones win ties.

    Args:
        scores: (n,) finite.
        groups: (n,) numbers from 0.
        quotas: (g,) how many of each group are in.
    """
    order = np.lexsort((-scores, groups))  # stable: equal scores stay in the order of the rows
    sizes = np.bincount(groups, minlength=len(quotas))
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    place = np.arange(len(order)) - np.repeat(first, sizes)
    outside: Rows = order[place >= np.repeat(quotas, sizes)]
    return outside


def shared(budget: int, weights: Sequence[int], given: Sequence[int]) -> list[int]:
    """How many rows each stratum gets of a budget; together min(budget, all that are given).

    In proportion to the weights, by largest remainders (Hamilton); equal remainders go to earlier
    strata. One that has fewer than its part gives all it has, and the others share what is over.

    Args:
        budget: rows.
        weights: of the strata, each at least 1 where rows are given.
        given: rows that each stratum has.
    """
    quotas = [0] * len(given)
    room = min(budget, sum(given))
    open_strata = [k for k, rows in enumerate(given) if rows]
    while True:
        total = sum(weights[k] for k in open_strata)
        small = [k for k in open_strata if given[k] * total <= room * weights[k]]
        if not small:
            break
        for k in small:
            quotas[k] = given[k]
        room -= sum(given[k] for k in small)
        open_strata = [k for k in open_strata if quotas[k] == 0]
    for k in open_strata:
        quotas[k] = room * weights[k] // total
    over = room - sum(quotas[k] for k in open_strata)
    by_remainder = sorted(open_strata, key=lambda k: (-(room * weights[k] % total), k))
    for k in by_remainder[:over]:
        quotas[k] += 1
    return quotas


def _top(top: float, members: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if top >= 1:
        return np.full(len(members), int(top))
    # 0.2 * 15 is 3.0000000000000004, which must not keep a fourth
    return np.array([math.ceil(top * count - 1e-9) for count in members.tolist()], np.int64)
