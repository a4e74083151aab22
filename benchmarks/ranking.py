"""Whether the statistics of a ranking hold: coverage, false discoveries, power; by simulation.

    python -m benchmarks.ranking --repeats 250 --out benchmarks/results/ranking.txt

Checkpoints of known quality draw pictures whose scores are quality + prompt + prompt and checkpoint
+ noise, and `beholder.eval.ranking.rank` is asked what it always is. Noise is normal, skewed
(exponential) or rounded, so that about every fourth pair is tied. The truth is what 100,000
prompts say. Coverage should be 95 %; two equal checkpoints should be told apart in at most 5 % of
all rankings; and a difference as often as `beholder.eval.power` says.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from beholder.eval._ranking.cells import by_prompt, gather, layout
from beholder.eval._ranking.testing import prompt_p
from beholder.eval.power import power_of
from beholder.eval.ranking import Ranking, Resample, rank
from benchmarks._options import heading, parser, tell
from benchmarks._record import Row, Spread

Floats = npt.NDArray[np.float64]
Kind = Literal["normal", "skewed", "tied"]
KINDS: tuple[Kind, ...] = ("normal", "skewed", "tied")
SIZES = tuple(product((20, 50, 200), (1, 4)))
QUALITIES = (0.0, 0.2, 0.5)
FEW = 50
"""Prompts up to which more tables are simulated."""
ALPHA = 0.05
_TRUTH = 100_000
_LATENT = 0.5  # spread of what a prompt does to one checkpoint
STATISTICS = ("mean", "win rate", "mean difference", "strength difference")


@dataclass(frozen=True, slots=True)
class World:
    """Checkpoints of these qualities, and how their pictures are scored."""

    qualities: Sequence[float] = QUALITIES
    prompts: int = 50
    seeds: int = 1
    kind: Kind = "normal"

    def draw(self, rng: np.random.Generator, latent: Floats | None = None) -> dict[str, Any]:
        """A table of scores; `latent` (prompts, m) fixes what prompts do."""
        m = len(self.qualities)
        fixed = self.latent(rng) if latent is None else latent
        scores = fixed[:, :, None] + self._noise(rng, (self.prompts, m, self.seeds), 1.0)
        if self.kind == "tied":
            scores = np.round(scores)
        return {
            "model": [f"m{k}" for k in range(m) for _ in range(self.seeds)] * self.prompts,
            "prompt": [p for p in range(self.prompts) for _ in range(m * self.seeds)],
            "score": scores.ravel(),
        }

    def latent(self, rng: np.random.Generator) -> Floats:
        """What to expect of each checkpoint on each prompt, (prompts, m)."""
        shape = (self.prompts, len(self.qualities))
        hard = rng.normal(size=(self.prompts, 1))
        expected: Floats = np.array(self.qualities) + hard + self._noise(rng, shape, _LATENT)
        return expected

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> Floats:
        if self.kind == "skewed":
            return spread * (rng.exponential(size=shape) - 1)
        return spread * rng.normal(size=shape)

    def truth(self, prompts: int = _TRUTH) -> dict[tuple[str, str], float]:
        """Every statistic of very many prompts."""
        many = replace(self, prompts=prompts, seeds=1).draw(np.random.default_rng(12345))
        return {key: value for key, (value, _, _) in _said(_ranked(many, draws=1)).items()}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--repeats", type=int, default=250, help="simulated tables of a setting")
    given = made.parse_args()
    start = time.process_time()
    held: list[float] = []
    told: list[float] = []
    report = []
    parts = chain(
        [heading("beholder", "numpy")],
        coverage(given.repeats, held=held),
        fixed(given.repeats),
        false(given.repeats, told=told),
        power(given),
    )
    for line in parts:
        print(line, flush=True)
        report.append(line)
    report.append(f"\n{time.process_time() - start:.0f} CPU-s in all")
    tell(given, "\n".join(report), _rows(given.repeats, held, told), said=True)


def _rows(repeats: int, held: Sequence[float], told: Sequence[float]) -> list[Row]:
    """What was found beside what is promised, over all settings."""
    simulated = f"of rankings, {repeats} tables or more of a setting"
    return [
        Row(
            area="statistics",
            what=f"coverage of 95 % intervals {simulated}",
            against="the promised 95 %",
            ratio=Spread.of([share / (1 - ALPHA) for share in held]),
            unit="share of truths held",
            goal=0.98,
        ),
        Row(
            area="statistics",
            what=f"equal checkpoints told apart {simulated}",
            against="the promised 5 % at most",
            ratio=Spread.of([share / ALPHA for share in told]),
            unit="share of rankings",
            goal=1.0,
            better="lower",
        ),
    ]


def coverage(
    repeats: int, sizes: Sequence[tuple[int, int]] = SIZES, *, held: list[float] | None = None
) -> Iterator[str]:
    """How often the 95 % intervals hold the truth, prompts redrawn; `held` gets all shares."""
    shares = [] if held is None else held
    yield (
        f"\nCoverage of the 95 % intervals in %, tables of {len(QUALITIES)} checkpoints each; "
        "standard error at most, were it 95"
    )
    yield (
        f"{'scores':8}{'prompts':>8}{'seeds':>6}{'tables':>7}{'error':>6}"
        + "".join(f"{name:>21}" for name in STATISTICS)
    )
    for kind in KINDS:
        truth = World(kind=kind).truth()
        for prompts, seeds in sizes:
            world = World(prompts=prompts, seeds=seeds, kind=kind)
            count = tables(prompts, repeats)
            error = 100 * math.sqrt(0.05 * 0.95 / count)
            found = held_shares(world, truth, count)
            shares += found.values()
            cells = "".join(f"{100 * found[name]:21.1f}" for name in STATISTICS)
            yield f"{kind:8}{prompts:8}{seeds:6}{count:7}{error:6.1f}{cells}"


def tables(prompts: int, repeats: int) -> int:
    """How many are simulated: more of few prompts, where a bootstrap errs most."""
    return 3 * repeats if prompts <= FEW else repeats


def held_shares(
    world: World, truth: dict[tuple[str, str], float], repeats: int, draws: int = 1200
) -> dict[str, float]:
    """Statistic -> the share of its intervals that hold the truth."""
    held: Counter[str] = Counter()
    rng = np.random.default_rng([world.prompts, world.seeds, KINDS.index(world.kind)])
    for repeat in range(repeats):
        found = _said(_ranked(world.draw(rng), draws=draws, seed=repeat))
        for key, (_, low, high) in found.items():
            held[key[0]] += low <= truth[key] <= high
    count = {name: sum(key[0] == name for key in truth) for name in STATISTICS}
    return {name: held[name] / repeats / count[name] for name in STATISTICS}


def fixed(repeats: int) -> Iterator[str]:
    """How often intervals over pictures hold the truth of these very prompts."""
    yield "\nCoverage of mean differences for the prompts at hand, in %, normal scores"
    for resample, (prompts, seeds) in product(("seeds", "both"), ((20, 2), (50, 4))):
        world = World(prompts=prompts, seeds=seeds)
        share = held_of_these(world, resample, repeats // 2)  # type: ignore[arg-type]
        yield f"redrawing {resample:8}{prompts:5} prompts, {seeds} seeds: {100 * share:.1f}"


def held_of_these(world: World, resample: Resample, repeats: int, draws: int = 250) -> float:
    """The share of intervals of mean differences that hold that of the prompts drawn."""
    rng = np.random.default_rng([world.prompts, world.seeds, 7])
    held = []
    for repeat in range(repeats):
        latent = world.latent(rng)
        true = latent.mean(0)
        table = world.draw(rng, latent)
        for m in _ranked(table, draws=draws, seed=repeat, resample=resample).meetings:
            gap = true[int(m.first[1:])] - true[int(m.second[1:])]
            held.append(m.mean_difference_interval.low <= gap <= m.mean_difference_interval.high)
    return float(np.mean(held))


def false(repeats: int, *, told: list[float] | None = None) -> Iterator[str]:
    """How often any of five equal checkpoints are told apart; `told` gets all shares."""
    shares = [] if told is None else told
    error = 100 * math.sqrt(0.05 * 0.95 / repeats)
    yield (
        "\nRankings of five equal checkpoints in which any two are told apart, in %; "
        f"at most 5 (standard error {error:.1f})"
    )
    for resample, kind, prompts in product(("prompts", "seeds"), ("normal", "tied"), (20, 50)):
        world = World((0.0,) * 5, prompts, 2, kind)  # type: ignore[arg-type]
        share = false_share(world, resample, repeats)  # type: ignore[arg-type]
        shares.append(share)
        yield f"testing {resample:8} {kind:8}{prompts:4} prompts, 2 seeds: {100 * share:.1f}"


def false_share(world: World, resample: Resample, repeats: int) -> float:
    """The share of rankings of equal checkpoints with a false discovery."""
    rng = np.random.default_rng([world.prompts, KINDS.index(world.kind), 3])
    alike = np.zeros(len(world.qualities))
    told = 0
    for _ in range(repeats):
        # with prompts fixed, "no difference" is one on every prompt
        latent = alike + rng.normal(size=(world.prompts, 1)) if resample == "seeds" else None
        ranking = _ranked(world.draw(rng, latent), draws=1, resample=resample)
        told += any(meeting.told_apart for meeting in ranking.meetings)
    return told / repeats


def power(given: argparse.Namespace) -> Iterator[str]:
    """How often two checkpoints are told apart, beside what the estimate says."""
    yield "\nTwo checkpoints told apart, in %: simulated, and as `beholder.eval.power` estimates"
    for kind, gap in product(("normal", "tied"), (0.2, 0.4)):
        for prompts in (20, 50, 100, 200):
            world = World((0.0, gap), prompts, 2, kind)  # type: ignore[arg-type]
            seen, said = powers(world, 4 * given.repeats)
            yield f"{kind:8} gap {gap} {prompts:5} prompts: {100 * seen:5.1f}  {100 * said:5.1f}"


def powers(world: World, repeats: int) -> tuple[float, float]:
    """The share of tables in which the two are told apart, and the estimate for them."""
    many = _shares(replace(world, prompts=20_000), np.random.default_rng(99))
    said = power_of(float(many.mean()) - 0.5, float(many.std(ddof=1)), world.prompts, ALPHA)
    rng = np.random.default_rng([world.prompts, 5])
    pairs = np.full(world.prompts, world.seeds**2)
    seen = np.mean([prompt_p(_shares(world, rng), pairs) < ALPHA for _ in range(repeats)])
    return float(seen), said


def _shares(world: World, rng: np.random.Generator) -> Floats:
    """The share of pairs that the first of two checkpoints wins on each prompt."""
    cells = gather(world.draw(rng), "score", "model", "prompt")
    return by_prompt(layout(cells)).wins[:, 0]


def _ranked(
    table: dict[str, Any], *, draws: int, seed: int = 0, resample: Resample = "prompts"
) -> Ranking:
    return rank(table, score="score", draws=draws, seed=seed, resample=resample, alpha=ALPHA)


def _said(ranking: Ranking) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Statistic and what it is of -> value and interval; pairs with the lesser name first."""
    found = {}
    for s in ranking.standings:
        for name, value, i in (
            ("mean", s.mean, s.mean_interval),
            ("win rate", s.win_rate, s.win_rate_interval),
        ):
            found[name, s.name] = (value, i.low, i.high)
    for m in ranking.meetings:
        for name, value, i in (
            ("mean difference", m.mean_difference, m.mean_difference_interval),
            ("strength difference", m.strength_difference, m.strength_difference_interval),
        ):
            straight = m.first < m.second
            key = f"{min(m.first, m.second)} {max(m.first, m.second)}"
            found[name, key] = (value, i.low, i.high) if straight else (-value, -i.high, -i.low)
    return found


if __name__ == "__main__":
    main()
