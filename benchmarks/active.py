"""How many judgements active selection saves against random, at equal held-out accuracy.

    python -m benchmarks.active --seeds 10 --out benchmarks/results/active.txt

First, on the quickstart's pictures and simulated annotators: a reward is fitted to a few judged
pairs, chooses the next batch with `beholder.annotation.asking.selection`, and is fitted again.
Accuracy is measured on pictures of photographs that no judgement was given about. Then, on
simulated checkpoints of close strengths: judgements until 95 % intervals tell all neighbours apart.

The reward of the first part is a light head, so that a thousand fits take minutes: a logistic
regression on what the quickstart's frozen towers see (`benchmarks._light_head`). Its ensemble is
drawn from Laplace's approximation of its posterior.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from beholder.annotation.asking.candidates import Candidates
from beholder.annotation.asking.selection import SelectionConfig, Strategy, select
from beholder.quickstart.material import Sizes
from benchmarks._close_checkpoints import BATCH as RANKING_BATCH
from benchmarks._close_checkpoints import STRENGTHS, settle
from benchmarks._light_head import FEATURES, Head, Pairs, Pool, make_pool
from benchmarks._options import heading, parser, tell
from benchmarks._record import Row, Spread

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ASPECTS = ("overall", "alignment")
TARGETS = (0.95, 0.98, 0.99, 1.0)
MEMBERS = 64
REDRAWS = 1000
SETTLERS = ("random", "balanced", "ranking")
_WIDTH = 28  # of the first column


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to choose."""

    strategy: Strategy
    random_share: float = 1.0

    def __str__(self) -> str:
        if self.strategy == "random":
            return "random"
        return f"{self.strategy}, {self.random_share:.0%} random"


ARMS = (
    Arm("random"),
    *(Arm(name, share) for name in ("uncertainty", "disagreement") for share in (0.2, 0.0)),
)


def main() -> None:
    given = parse()
    torch.set_num_threads(1)
    start = time.monotonic()
    report = []
    rows: list[Row] = []
    first = heading("beholder", "torch", "numpy", "timm", "transformers")
    for line in chain([first], learning(given), ranking(given, rows)):
        print(line, flush=True)
        report.append(line)
    report.append(f"\n{time.monotonic() - start:.0f} s in all")
    tell(given, "\n".join(report), rows, said=True)


def parse() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=10, help="of start set, draws and ensemble")
    made.add_argument("--batch", type=int, default=100, help="judgements between two fits")
    made.add_argument("--budget", type=int, default=3000, help="judgements in all; 0: none")
    made.add_argument("--settles", type=int, default=40, help="contests of close checkpoints")
    made.add_argument("--test-prompts", type=int, default=300, help="of three pictures each")
    return made.parse_args()


def learning(given: argparse.Namespace) -> Iterator[str]:
    """Curves of each aspect and strategy, and the judgements to reach given accuracies."""
    if not given.budget:
        return
    with tempfile.TemporaryDirectory() as folder:
        pool = make_pool(Path(folder), Sizes(test_prompts=given.test_prompts), seed=0)
    yield (
        f"\nLearning a reward ({FEATURES} features, logistic; simulated annotators): "
        f"{given.batch} random pairs, then {given.batch} a\nround; {given.seeds} seeds; ensembles "
        f"of {MEMBERS}. A share of 20 % random pairs is the default: it is learned\nfrom too, "
        "and kept for an unbiased accuracy."
    )
    for aspect in ASPECTS:
        study = Study.of(pool, aspect)
        full = study.accuracy(np.arange(len(study.train.rows)))
        yield (
            f"\n{aspect}: {len(study.train.rows)} pairs to choose from, {len(study.right)} held "
            f"out of other photographs (no ties);\naccuracy with all pairs {full:.4f}"
        )
        rounds = np.arange(given.batch, given.budget + 1, given.batch)
        curves = {
            arm: np.array([study.curve(arm, rounds, k) for k in range(given.seeds)]) for arm in ARMS
        }
        yield from _curve_lines(rounds, curves)
        yield from _target_lines(rounds, curves, full)


@dataclass(frozen=True, slots=True)
class Study:
    """One aspect: pairs to learn from, and held-out ones as differences of features.

    Attributes:
        held_out: features of the first picture minus those of the second.
        right: whether the first is better.
    """

    pool: Pool
    train: Pairs
    held_out: Floats
    right: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, pool: Pool, aspect: str) -> Study:
        test, features = pool.pairs("test", aspect), pool.features
        told = test.p_first != 0.5
        first, second = test.rows[told].T
        return cls(
            pool,
            pool.pairs("train", aspect),
            features[first] - features[second],
            test.p_first[told] > 0.5,
        )

    def fit(self, asked: Integers) -> Head:
        return Head.fit(self.pool.features, self.train.rows[asked], self.train.p_first[asked])

    def accuracy(self, asked: Integers) -> float:
        return self._accuracy(self.fit(asked))

    def curve(self, arm: Arm, rounds: Integers, seed: int) -> list[float]:
        """Held-out accuracy after each number of judgements; equal seeds start from equal pairs."""
        rng = np.random.default_rng(seed)
        asked = rng.permutation(len(self.train.rows))[: rounds[0]]
        head = self.fit(asked)
        found = [self._accuracy(head)]
        for count in rounds[1:].tolist():
            asked = np.append(asked, self._next(arm, asked, head, count, rng))
            head = self.fit(asked)
            found.append(self._accuracy(head))
        return found

    def _accuracy(self, head: Head) -> float:
        return float(((self.held_out @ head.weights > 0) == self.right).mean())

    def _next(
        self, arm: Arm, asked: Integers, head: Head, count: int, rng: np.random.Generator
    ) -> list[int]:
        left = np.setdiff1d(np.arange(len(self.train.rows)), asked)
        is_ensemble = arm.strategy == "disagreement"
        members = head.members(MEMBERS, rng) if is_ensemble else head.weights[None]
        items = len(self.pool.images)
        candidates = Candidates(
            images=[str(item) for item in range(items)],
            prompts=self.pool.prompts,
            checkpoints=[""] * items,
            rewards=[str(member) for member in range(len(members))],
            scores=members @ self.pool.features.T,
            pairs=self.train.rows[left],
            left_out={},
        )
        row = {tuple(pair): k for pair, k in zip(candidates.pairs.tolist(), left, strict=True)}
        config = SelectionConfig(
            strategy=arm.strategy,
            count=count - len(asked),
            random_share=arm.random_share,
            temperature=1.0,
        )
        chosen = select(candidates, config, rng).chosen
        return [int(row[int(one.first), int(one.second)]) for one in chosen]


def _curve_lines(rounds: Integers, curves: dict[Arm, Floats]) -> Iterator[str]:
    shown = [k for k in range(len(rounds)) if rounds[k] in {rounds[0], *rounds[4::5]}]
    yield f"{'judgements':{_WIDTH}s}" + "".join(f"{rounds[k]:>8d}" for k in shown)
    for arm, curve in curves.items():
        yield f"{arm!s:{_WIDTH}s}" + "".join(f"{curve[:, k].mean():8.4f}" for k in shown)
    spread = np.mean([curve.std(0, ddof=1).mean() for curve in curves.values()])
    yield f"(mean over seeds; standard deviation {spread:.4f} on average)"


def _target_lines(rounds: Integers, curves: dict[Arm, Floats], full: float) -> Iterator[str]:
    """Judgements to reach shares of the full accuracy, and what that saves against random."""
    yield "judgements until the mean curve reaches a share of the accuracy with all pairs, and what"
    yield "that saves against random (95 % interval over redrawn seeds; > : not within the budget)"
    seeds = len(curves[ARMS[0]])
    picks = np.random.default_rng(0).integers(seeds, size=(REDRAWS, seeds))
    for target in TARGETS:
        yield f"  {target:.0%} ({target * full:.4f}):"
        needed = {
            arm: needed_for(rounds, np.vstack([curve.mean(0), curve[picks].mean(1)]), target * full)
            for arm, curve in curves.items()
        }
        for arm, counts in needed.items():
            saved = "" if arm is ARMS[0] else _saving(needed[ARMS[0]], counts, rounds[-1])
            yield f"    {arm!s:{_WIDTH}s}{_count(counts[0], rounds[-1]):>8s}{saved}"


def needed_for(rounds: Integers, curves: Floats, accuracy: float) -> Floats:
    """Where each curve, averaged over three rounds, first reaches an accuracy; inf if never."""
    padded = np.pad(curves, ((0, 0), (1, 1)), mode="edge")
    smooth = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
    return np.array([_first_at(rounds, curve, accuracy) for curve in smooth])


def _first_at(rounds: Integers, curve: Floats, accuracy: float) -> float:
    reached = curve >= accuracy
    if not reached.any():
        return float("inf")
    k = int(reached.argmax())
    if k == 0:
        return float(rounds[0])
    share = (accuracy - curve[k - 1]) / (curve[k] - curve[k - 1])
    return float(rounds[k - 1] + share * (rounds[k] - rounds[k - 1]))


def _count(needed: float, budget: int) -> str:
    return f"{needed:.0f}" if np.isfinite(needed) else f"> {budget}"


def _saving(random: Floats, active: Floats, budget: int) -> str:
    """Of the first of the counts, with the interval of the others; the budget stands for more."""
    saved = 1 - np.minimum(active, budget) / np.minimum(random, budget)
    low, high = np.quantile(saved[1:], (0.025, 0.975))
    return f"   saves {saved[0]:4.0%} ({low:.0%} to {high:.0%})"


def ranking(given: argparse.Namespace, rows: list[Row]) -> Iterator[str]:
    """Judgements until simulated checkpoints are told apart; `rows` gets what asking saves."""
    yield (
        f"\nRanking {len(STRENGTHS)} simulated checkpoints of strengths {STRENGTHS} logits with a\n"
        f"biased and noisy reward; batches of {RANKING_BATCH}, {given.settles} contests. "
        "Judgements until the 95 % intervals of\nall neighbours leave out 0: median (quartiles)"
    )
    needed: dict[str, Floats] = {}
    for strategy in SETTLERS:
        verdicts = [settle(strategy, seed) for seed in range(given.settles)]
        needed[strategy] = np.array([v.judgements for v in verdicts], dtype=np.float64)
        right = np.mean([v.is_right for v in verdicts])
        yield f"  {strategy:9s} {_quartiles(needed[strategy])}; order right in {right:.0%}"
    for other in SETTLERS[:-1]:
        saved = 100 * (1 - needed["ranking"] / needed[other])
        rows.append(_row(needed[other] / needed["ranking"], other))
        yield f"  ranking saves {_quartiles(saved)} % against {other}, contest by contest"


def _row(ratios: Floats, other: str) -> Row:
    """Judgements of a simpler way beside ours, with the quartiles of all contests."""
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75)).tolist()
    return Row(
        area="statistics",
        what=f"judgements until {len(STRENGTHS)} checkpoints are ranked, {len(ratios)} contests",
        against=f"{other} pairs",
        ratio=Spread(middle, low, high),
        unit="judgements",
        headline=other == "random",
    )


def _quartiles(values: Floats) -> str:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


if __name__ == "__main__":
    main()
