"""On which prompts checkpoints are compared, and why not on the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from beholder.eval._ranking.cells import Cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The prompts of a ranking, each counted once.

    Attributes:
        prompts: those on which two checkpoints or more have a score.
        alone: checkpoint -> prompts of which no other has a row.
        unscored: the rest: several have rows, but fewer than two a score.
    """

    prompts: int
    alone: Mapping[str, int] = field(default_factory=dict)
    unscored: int = 0

    @classmethod
    def of(cls, cells: Cells) -> Compared:
        """What the pictures of a table say; checkpoints by name."""
        met = (cells.counts() > 0).sum(1) > 1
        has_rows = np.zeros((cells.prompts, len(cells.names)), dtype=bool)
        has_rows[cells.named.prompt, cells.named.model] = True
        only = has_rows[has_rows.sum(1) == 1].sum(0).tolist()
        return cls(
            prompts=int(met.sum()),
            alone={name: count for name, count in zip(cells.names, only, strict=True) if count},
            unscored=cells.prompts - int(met.sum()) - sum(only),
        )

    def left_out(self) -> str:
        """Why the other prompts do not count; "" if there are none."""
        parts = [f"{count} that only {name} has" for name, count in self.alone.items()]
        if self.unscored:
            parts.append(f"{self.unscored} on which fewer than two have a score")
        return ", ".join(parts)
