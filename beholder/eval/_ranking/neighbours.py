"""How many prompts tell neighbours of a ranking apart."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from beholder.errors import ConfigError
from beholder.eval._ranking.cells import Cells, by_prompt, layout
from beholder.eval.power import Certainty, Gap, Needed, needed

if TYPE_CHECKING:
    from beholder.eval.ranking import Ranking


def certainty_fault(certainty: float | None, alpha: float) -> str | None:
    """What is wrong with a wanted probability; None if nothing, or alpha itself is no chance."""
    if certainty is None or not 0 < alpha < 1 or alpha < certainty < 1:
        return None
    return (
        f"certainty is {certainty:g}; give a probability between alpha ({alpha:g}) and 1, "
        f"such as {max(0.9, (1 + alpha) / 2):g}"
    )


def neighbours_needed(ranking: Ranking, cells: Cells, certainty: float) -> list[Needed]:
    """The prompts that tell each two neighbours apart with the probability `certainty`.

    What is compared is what the ranking tests: the share of picture pairs that one wins on a
    prompt, less a half. The level is alpha over the number of all pairs (Bonferroni), the hardest
    step of Holm's correction, so the number is enough whatever the other pairs turn out to be.

    Raises ConfigError if certainty is not in (alpha, 1).
    """
    if why := certainty_fault(certainty, ranking.alpha):
        raise ConfigError(why)
    sure = Certainty(alpha=ranking.alpha / len(ranking.meetings), power=certainty)
    sums = by_prompt(layout(cells))
    found = []
    for upper, lower in pairwise(standing.name for standing in ranking.standings):
        meeting = next(m for m in ranking.meetings if (m.first, m.second) == (upper, lower))
        i, j = (cells.names.index(name) for name in (upper, lower))
        low, high = min(i, j), max(i, j)
        column = low * len(cells.names) - low * (low + 1) // 2 + high - low - 1
        shares = sums.wins[sums.met[:, column] > 0, column]
        gaps = (shares if i < j else 1 - shares) - 0.5
        gap = Gap(
            first=upper,
            second=lower,
            of=f"win share of {ranking.score}",
            difference=float(gaps.mean()) if len(gaps) else math.nan,
            low=meeting.win_rate_interval.low - 0.5,
            high=meeting.win_rate_interval.high - 0.5,
            deviation=float(gaps.std(ddof=1)) if len(gaps) > 1 else math.nan,
            prompts=len(gaps),
        )
        found.append(needed(gap, sure))
    return found
