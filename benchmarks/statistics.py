"""Statistics of judgements and scores beside the packages for them, in CPU time of one thread.

    make peers
    python -m benchmarks.statistics --out benchmarks/results/statistics.txt
    python -m benchmarks.statistics --only alpha --rounds 1

Both sides get the same numbers, each in the form that it takes, and do the same work: the same
draws, the same steps. Rounds are interleaved, and the ratio of a round is what counts. What each
case is, and how its results are compared, stands in `benchmarks._statistics_cases`.
"""

from __future__ import annotations

import warnings
from argparse import Namespace
from collections.abc import Iterator

import torch

from benchmarks._options import heading, named, parser, tell
from benchmarks._record import Missing, Row, Spread
from benchmarks._rounds import interleaved
from benchmarks._statistics_cases import CASES, Case

OURS = "beholder"


def main() -> None:
    given = _arguments()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # a peer's own
    rows = [row for name in given.only or CASES for row in compared(name, given)]
    packages = ("numpy", "scipy", "pandas", "torch")
    tell(given, "\n".join([heading(*packages), *map(told, rows)]), rows)


def _arguments() -> Namespace:
    made = parser(__doc__)
    made.add_argument("--only", choices=CASES, action="append", help="one case; may be repeated")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--size", type=float, default=1.0, help="of the data, as a factor")
    return made.parse_args()


def compared(name: str, given: Namespace) -> Iterator[Row | Missing]:
    """Beholder beside each package that a case has."""
    for case in CASES[name](given.size):
        if case.theirs is None:
            reason = "not installed: make peers"
            yield Missing(area=case.area, what=f"{case.what}, {case.against}", reason=reason)
        else:
            yield _row(case, given.rounds)


def _row(case: Case, rounds: int) -> Row:
    assert case.theirs is not None
    apart = case.apart(case.ours(), case.theirs())  # also warms both up
    seconds = interleaved({OURS: case.ours, case.against: case.theirs}, rounds)
    return Row(
        area=case.area,
        what=case.what,
        against=case.against,
        ratio=Spread.of_ratios(seconds[case.against], seconds[OURS]),
        peer=named(case.package),
        agreement=f"largest difference {apart:.1g}",
        headline=case.headline,
    )


def told(row: Row | Missing) -> str:
    """A row as a line."""
    if isinstance(row, Missing):
        return f"{row.what}: {row.reason}"
    return f"{row.what}: {row.ratio.told()} x {row.against} ({row.peer}), {row.agreement}"


if __name__ == "__main__":
    main()
