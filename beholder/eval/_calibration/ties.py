"""From which certainty on a preference is predicted, and a tie below it."""

from __future__ import annotations

import numpy as np

from beholder.errors import DataError
from beholder.eval._bootstrap import Floats
from beholder.eval.protocols import pair_credit


def best_tie_threshold(certainty: Floats, is_right: Floats) -> float:
    """The threshold on |2P - 1| at which the pairs earn the most by Pick-a-Pic's rule.

    Every threshold that makes a difference is tried, not a grid. It lies in the middle between
    the last tie and the first preference; of thresholds that are equally good the smallest is
    taken.

    Args:
        certainty: |2P - 1| of each pair.
        is_right: 1 where people prefer the picture of the higher score, -1 the other, 0 a tie.

    Raises:
        DataError: if there is no pair.
    """
    if not len(certainty):
        raise DataError("there is no pair on which a tie threshold could be chosen")
    order = np.argsort(certainty, kind="stable")
    sure, right = certainty[order], is_right[order]
    said = (1 + right) / 2
    as_ties, as_won = (
        pair_credit(np.full(len(said), predicted), said, "pickapic", 0.0)[0]
        for predicted in (0.0, 1.0)
    )
    gain = as_ties - as_won
    gain[sure == 0] = 0  # equal scores are a tie whatever the threshold
    gains = np.append(0.0, np.cumsum(gain))
    can_cut = np.append(True, np.append(np.diff(sure) > 0, True)) & np.append(True, sure > 0)
    best = int(np.argmax(np.where(can_cut, gains, -np.inf)))
    if best == 0:
        return 0.0
    after = sure[best] if best < len(sure) else 1.0
    return float((sure[best - 1] + after) / 2)
