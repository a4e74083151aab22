"""What a training step costs here beside the loop over pairs of the published trainers.

    python -m benchmarks.training --size b32 --rounds 3 --out benchmarks/results/training.txt
    python -m benchmarks.training --size small                                  # to try it

MPS on random towers, one thread, AdamW. Steps take turns, so a busy machine slows all of them; the
median of the rounds' ratios of CPU time is printed. The losses of all ways to take the same step
are asserted to be equal.

* ranking: six pairs of a 4-way ranking, all weights learn. Goal: 2.4 times the plain loop.
* cross_head: pairs apart; the towers are frozen and the cross model learns, from pictures and from
  kept tokens. Goal: 4.5 times the plain loop, which trains the towers, as published.
* pooled_head: the reward "head" on kept pooled states. Goal: 500 times the plain loop.
* checkpointing: activation checkpointing at 16 pairs. Goal: at least 20 % less memory for at most
  20 % more time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from beholder.rewards.head import Head
from beholder.rewards.mps import MPS
from beholder.training.towers.scorers import PixelScorer
from benchmarks._options import heading, parser, tell
from benchmarks._record import Row, Spread
from benchmarks._training_loops import (
    Way,
    compared,
    head_of,
    interleaved,
    kept,
    nodes,
    plain_loop,
)
from benchmarks._training_memory import measured
from benchmarks._training_models import SIZES, apart, mps, ranked

PARTS = ("ranking", "cross_head", "pooled_head", "checkpointing")


GOALS: Mapping[str, float] = {
    "nodes and edges": 2.4,
    "tokens kept": 4.5,
    "pooled kept": 500.0,
}
TOLD: Mapping[str, str] = {
    "nodes and edges": "a pair of a ranking, all weights learn",
    "towers frozen": "a pair, towers frozen",
    "tokens kept": "a pair, towers frozen and their tokens kept",
    "pooled, towers frozen": "a pair of a pooled head, towers frozen",
    "pooled kept": "a pair of a pooled head, its states kept",
}
"""Ways to take a step, in words."""


def main() -> None:
    given = _arguments()
    torch.set_num_threads(1)
    report: dict[str, Any] = {"machine": heading("torch", "transformers", "numpy")}
    report |= {"size": given.size, "rounds": given.rounds}
    if "checkpointing" in given.parts:  # first, while this process is small
        report["checkpointing"] = measured(given.size, given.batch, given.memory_rounds)
    with tempfile.TemporaryDirectory() as place:
        report |= _steps(given, Path(place))
    tell(given, json.dumps(report, indent=2, ensure_ascii=False), _rows(given.size, report))


def _rows(size: str, report: Mapping[str, Any]) -> Iterator[Row]:
    for part in PARTS[:-1]:
        ways = report.get(part, {})
        for way, ratio in ways.get("times_as_fast", {}).items():
            yield Row(
                area="training",
                what=f"training MPS {size}: {TOLD[way]}",
                against="the published trainers' loop over pairs",
                ratio=Spread(**ratio),
                goal=GOALS.get(way) if size == "b32" else None,
                agreement=_agreement(ways),
                headline=way == "nodes and edges",
            )
    if spared := report.get("checkpointing"):
        yield from _spared(size, spared)


def _spared(size: str, spared: Mapping[str, Any]) -> Iterator[Row]:
    """Time and memory with activation checkpointing, beside without."""
    for unit, key, goal in (("memory", "mib", 0.8), ("CPU time", "seconds", 1.2)):
        yield Row(
            area="training",
            what=f"training MPS {size}: {unit} of a step of {spared['pairs_in_a_step']} pairs",
            against="no activation checkpointing",
            ratio=Spread.of([1 + spared["change_in_percent"][key] / 100]),
            unit=unit,
            goal=goal,
            better="lower",
            agreement="the same losses to the bit",
        )


def _agreement(ways: Mapping[str, Any]) -> str:
    if "loss" not in ways:
        return ""
    return f"losses differ by {ways['loss']['largest_difference']:.1g}"


def _steps(given: argparse.Namespace, folder: Path) -> dict[str, object]:
    reward = mps(given.size)
    found: dict[str, object] = {}
    if "ranking" in given.parts:
        found["ranking"] = _ranking(given, reward, folder)
    if {"cross_head", "pooled_head"} & set(given.parts):
        found |= _heads(given, reward, folder)
    return found


def _ranking(given: argparse.Namespace, reward: MPS, folder: Path) -> dict[str, object]:
    pairs = ranked(folder, SIZES[given.size]["pixels"], given.k)
    everything = {name for name, _ in reward.named_parameters()}
    plain = Way("plain loop", reward, pairs, plain_loop(reward, pairs), everything)
    ours = Way("nodes and edges", reward, pairs, nodes(PixelScorer(reward), pairs), everything)
    interleaved([plain, ours], given.rounds)
    return {**compared(plain, {"nodes and edges": ours}), "loss": _same_loss(plain, ours)}


def _heads(given: argparse.Namespace, reward: MPS, folder: Path) -> dict[str, object]:
    pixels = SIZES[given.size]["pixels"]
    few, many = apart(folder / "few", pixels, given.pairs), apart(folder / "many", pixels, 32)
    everything, head = {name for name, _ in reward.named_parameters()}, head_of(reward)
    plain = Way("plain loop", reward, few, plain_loop(reward, few), everything)
    again = Way("towers frozen", reward, few, nodes(PixelScorer(reward), few), head)
    tokens = nodes(kept(reward, few, folder / "features"), few)
    cached = Way("tokens kept", reward, few, tokens, head)
    ways = {way.name: way for way in (again, cached)}
    small = Head(reward.towers, dropout=0.0)
    part = head_of(small) - {"towers.model.logit_scale"}
    pooled = {
        "pooled, towers frozen": Way(
            "pooled, towers frozen", small, few, nodes(PixelScorer(small), few), part
        ),
        "pooled kept": Way(
            "pooled kept", small, many, nodes(kept(small, many, folder / "features"), many), part
        ),
    }
    interleaved([plain, *ways.values(), *pooled.values()], given.rounds)
    loss = _same_loss(plain, again, cached, tolerance=2e-3)  # half precision on the disk
    return {
        "cross_head": {**compared(plain, ways), "loss": loss},
        "pooled_head": compared(plain, pooled),
    }


def _same_loss(first: Way, *others: Way, tolerance: float = 1e-6) -> dict[str, float]:
    """The loss that all agree on; it is one of the first step and of every other."""
    for way in others:
        for found, expected in zip(way.losses, first.losses, strict=True):
            assert abs(found - expected) <= tolerance, (way.name, found, expected)
    largest = max(abs(a - b) for w in others for a, b in zip(w.losses, first.losses, strict=True))
    return {"plain loop": first.losses[0], "largest_difference": largest}


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--size", choices=sorted(SIZES), default="b32")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--k", type=int, default=4, help="pictures of a ranking")
    made.add_argument("--pairs", type=int, default=4, help="pairs of a step apart")
    made.add_argument("--batch", type=int, default=16, help="pairs of a step that checkpoints")
    made.add_argument("--memory-rounds", type=int, default=1)
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    return made.parse_args()


if __name__ == "__main__":
    main()
