"""Scores of JPEG files beside published code that is no package, in CPU time of one thread.

    python -m benchmarks.scoring --out benchmarks/results/scoring.txt
    python -m benchmarks.scoring --only mps --size h14 --prompts 1 --pictures 3 --rounds 1

All sides of a case share random weights and start from files. Rounds are interleaved; the ratio of
each round is what counts, so that a busy machine slows all sides. "cold" forgets the prompts that
were encoded before, "warm" keeps them, as a reward that is asked about the same prompts again.
`benchmarks.peers` is the same beside the packages themselves.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import beholder
from beholder.rewards import Reward
from beholder.rewards._text_cache import TextCache
from beholder.rewards._towers.clip import CLIP_H
from beholder.rewards.mps import MPS, default_conditions
from beholder.rewards.pickscore import PickScore
from benchmarks import _loops
from benchmarks._options import heading, parser, tell
from benchmarks._pictures import jpeg
from benchmarks._record import Row, Spread
from benchmarks._rounds import Seconds, interleaved

Side = Callable[[], Tensor]
CLIP_B = {
    "text": {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
    },
    "vision": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "patch_size": 32,
    },
    "projection_dim": 512,
}
SIZES: dict[str, dict[str, Any]] = {"b32": CLIP_B, "h14": CLIP_H}
SIZE_NAMES = {"b32": "ViT-B/32", "h14": "ViT-H/14"}
CROSS = {"b32": {"layer_num": 4, "heads": 8}, "h14": {}}
OURS = "beholder"


@dataclass(frozen=True)
class Work:
    """Files and prompts: each prompt has `pictures` pictures, which lie together."""

    paths: list[Path]
    prompts: list[str]
    pictures: int
    size: str
    folder: Path


def main() -> None:
    given = _arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    packages = ("torch", "transformers", "open_clip_torch", "pillow", "simplejpeg")
    lines, rows = [heading(*packages, note="one thread, float32"), _sizes(given)], []
    with tempfile.TemporaryDirectory() as folder:
        work = _work(Path(folder), given)
        for name, case in CASES.items():
            if given.only in {"", name}:
                found = _measured(name, case(work), given)
                lines += found.lines()
                rows += list(found.rows())
    tell(given, "\n".join(lines), rows)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--prompts", type=int, default=4)
    made.add_argument("--pictures", type=int, default=4, help="of each prompt")
    made.add_argument("--side", type=int, default=512, help="of the JPEG files, in pixels")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--size", choices=SIZES, default="b32", help="of the towers")
    made.add_argument("--only", choices=["", *CASES], default="")
    return made.parse_args()


def _sizes(given: argparse.Namespace) -> str:
    return (
        f"{given.prompts} prompts x {given.pictures} pictures of {given.side}², towers "
        f"{given.size}; CPU ms a picture, medians of {given.rounds} interleaved rounds"
    )


def _work(folder: Path, given: argparse.Namespace) -> Work:
    paths = []
    for k in range(given.prompts * given.pictures):
        paths.append(folder / f"{k}.jpg")
        paths[-1].write_bytes(jpeg(given.side, k))
    nouns = ["fox", "lighthouse in a storm", "bowl of red apples", "portrait of a dancer"]
    texts = [f"a {nouns[k % 4]} number {k}, oil on canvas" for k in range(given.prompts)]
    prompts = [text for text in texts for _ in range(given.pictures)]
    return Work(paths, prompts, given.pictures, given.size, folder)


@dataclass(frozen=True)
class Measured:
    """The sides of one case.

    Attributes:
        name: of the case.
        what: the same with its sizes.
        scores: side -> scores (n,).
    """

    name: str
    what: str
    seconds: Seconds
    scores: Mapping[str, Tensor]

    def lines(self) -> Iterator[str]:
        """Each side beside the first, then what beholder is beside the others."""
        first = next(iter(self.scores))
        yield f"\n{self.name} (scores spread {self.scores[first].std().item():.3g})"
        for side, seconds in self.seconds.items():
            ratio = Spread.of_ratios(self.seconds[first], seconds)
            each = 1000 * Spread.of(seconds).median / len(self.scores[first])
            yield f"  {side:36} {each:8.1f} ms  {ratio.told()} x  {self.agreement(side, first)}"
        for row in self.rows():
            yield f"  beholder is {row.ratio.told()} times as fast as {row.against}"

    def rows(self) -> Iterator[Row]:
        """Beholder beside each way of others."""
        others = [side for side in self.seconds if not side.startswith(OURS)]
        for side in others:
            yield Row(
                area="scoring",
                what=self.what,
                against=side,
                ratio=Spread.of_ratios(self.seconds[side], self.seconds[OURS]),
                agreement=self.agreement(side, OURS),
            )

    def agreement(self, side: str, other: str) -> str:
        """How far the scores of two sides lie apart."""
        first, second = self.scores[side], self.scores[other]
        apart = (first - second).abs().max().item()
        return f"largest difference {apart:.2g}, rank correlation {_rho(first, second):.5f}"


def _measured(name: str, sides: Mapping[str, Side], given: argparse.Namespace) -> Measured:
    scores = {side: run() for side, run in sides.items()}  # also warms everything up
    pictures = given.prompts * given.pictures
    what = f"{TITLES[name]}, {SIZE_NAMES[given.size]}, {pictures} JPEG files of {given.side}²"
    return Measured(name, what, interleaved(sides, given.rounds), scores)


def _rho(first: Tensor, second: Tensor) -> float:
    ranks = torch.stack([first.argsort().argsort(), second.argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


def forget(reward: Reward) -> None:
    """Prompts that were encoded before are encoded again."""
    for name, part in vars(reward).items():
        if isinstance(part, TextCache):
            vars(reward)[name] = TextCache()


def _ours(reward: Reward, work: Work, *, warm: bool = False, batch_size: int = 16) -> Side:
    def run() -> Tensor:
        if not warm:
            forget(reward)
        return reward.score(work.paths, work.prompts, batch_size=batch_size).total

    return run


def pickscore(work: Work) -> dict[str, Side]:
    reward = beholder.load("pickscore", config=SIZES[work.size])
    assert isinstance(reward, PickScore)
    given = (reward, work.paths, work.prompts)
    return {
        "one pair at a time (official)": lambda: _loops.pickscore_one_by_one(*given),
        "a batch (flow_grpo)": lambda: _loops.pickscore_batched(*given),
        "beholder": _ours(reward, work),
        "beholder, batch of 4": _ours(reward, work, batch_size=4),
        "beholder, warm": _ours(reward, work, warm=True),
    }


def mps(work: Work) -> dict[str, Side]:
    reward = _mps(work, conditions={"overall": default_conditions()["overall"]})
    given = (reward, work.paths, work.prompts)
    return {
        "one pair at a time (official)": lambda: _loops.mps_one_by_one(*given)["overall"],
        "beholder": _ours(reward, work),
        "beholder, batch of 4": _ours(reward, work, batch_size=4),
        "beholder, warm": _ours(reward, work, warm=True),
        "beholder, warm, batch of 4": _ours(reward, work, warm=True, batch_size=4),
    }


def mps_conditions(work: Work) -> dict[str, Side]:
    """All four scores of each picture, which share its towers here."""
    reward = _mps(work)

    def ours() -> Tensor:
        forget(reward)
        aspects = reward.score(work.paths, work.prompts, batch_size=16).aspects
        return torch.cat([aspects[name] for name in reward.conditions])

    def official() -> Tensor:
        return torch.cat([*_loops.mps_one_by_one(reward, work.paths, work.prompts).values()])

    return {"one pair and condition at a time (official)": official, OURS: ours}


def _mps(work: Work, **options: Any) -> MPS:
    config = {"clip": SIZES[work.size], "cross": CROSS[work.size]}
    reward = beholder.load("mps", config=config, **options)
    assert isinstance(reward, MPS)
    return reward


CASES: dict[str, Callable[[Work], dict[str, Side]]] = {
    "pickscore": pickscore,
    "mps": mps,
    "mps_conditions": mps_conditions,
}
TITLES = {
    "pickscore": "PickScore",
    "mps": "MPS",
    "mps_conditions": "MPS, four conditions",
}


if __name__ == "__main__":
    main()
