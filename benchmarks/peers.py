"""Scores of JPEG files beside the scoring packages themselves, in CPU time of one thread.

    make peers
    python -m benchmarks.peers --out benchmarks/results/peers.txt
    python -m benchmarks.peers --only "image-reward" --pictures 2 --rounds 1

Each package runs in its own process, in the environment that `make peers` makes, and is called as
its documentation says. It makes its model with random weights and writes them as it publishes
them; `beholder.load` reads that file. Both start from the same files of pictures. Rounds are
interleaved, and the ratio of a round is what counts. Prompts are encoded anew in every round.
`benchmarks._peers_shims` says what was replaced to make the packages run today and offline;
`benchmarks.scoring` has what was published as code but is no package.
"""

from __future__ import annotations

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import beholder
from beholder.rewards import Reward
from beholder.rewards.mps import default_conditions
from benchmarks._options import heading, parser, peers_python, tell
from benchmarks._peers_asked import AskedPeer
from benchmarks._peers_models import WEIGHTS
from benchmarks._peers_shims import bert_vocabulary
from benchmarks._pictures import jpeg
from benchmarks._record import Missing, Row, Spread, record
from benchmarks.scoring import CLIP_B, CROSS, forget

AREA = "scoring"
_HPS = {
    "embed_dim": 512,
    "vision_cfg": {"layers": 12, "width": 768, "head_width": 64, "patch_size": 32},
    "text_cfg": {"width": 512, "heads": 8, "layers": 12},
}
_TRAINING_RULE: dict[str, Any] = {"threshold": 0.01, "scope": "batch"}
"""Which words count for MPS in imscore; the published evaluation has another rule."""


@dataclass(frozen=True)
class Case:
    """One package beside beholder.

    Attributes:
        what: the reward with its size.
        call: how the package is called.
        load: beholder's reward, from the file that the package wrote.
        large: whether a picture takes seconds, so that a quarter of them is enough.
    """

    what: str
    call: str
    load: Callable[[Path], Reward]
    headline: bool = False
    large: bool = False


def _hps(weights: Path) -> Reward:
    return beholder.load("hps", weights=weights, config=_HPS)


def _clipscore(weights: Path) -> Reward:
    return beholder.load("clipscore", weights=weights)


def _pickscore(weights: Path) -> Reward:
    return beholder.load("pickscore", weights=weights, config=CLIP_B)


def _mps(weights: Path) -> Reward:
    sizes: dict[str, Any] = {"clip": CLIP_B, "cross": CROSS["b32"]}
    overall = {"overall": default_conditions()["overall"]}
    return beholder.load("mps", weights=weights, config=sizes, conditions=overall, **_TRAINING_RULE)


def _imagereward(weights: Path) -> Reward:
    return beholder.load("imagereward", weights=weights, tokenizer=bert_vocabulary())


CASES = {
    "hpsv2": Case("HPSv2, ViT-B/32", "hpsv2.score(paths, prompt)", _hps, headline=True),
    "image-reward": Case(
        "ImageReward, ViT-L/16",
        "ImageReward's score(prompt, paths)",
        _imagereward,
        headline=True,
        large=True,
    ),
    "open_clip": Case("CLIPScore, ViT-B/32", "open_clip's loop, a pair at a time", _clipscore),
    "imscore HPSv2": Case("HPSv2, ViT-B/32", "imscore HPSv2, one batch", _hps),
    "imscore PickScorer": Case(
        "PickScore, ViT-B/32", "imscore PickScorer, one batch", _pickscore, headline=True
    ),
    "imscore MPS": Case("MPS, ViT-B/32", "imscore MPS, one batch", _mps),
    "imscore ImageReward": Case(
        "ImageReward, ViT-L/16", "imscore ImageReward, one batch", _imagereward, large=True
    ),
}


def main() -> None:
    given = _arguments()
    torch.set_num_threads(1)
    lines = [heading("torch", "transformers", "open_clip_torch", note="one thread, float32")]
    python = peers_python()
    for name in given.only or CASES:
        row = _missing(name) if python is None else compared(name, python, given)
        record([row], given.record)  # at once: whatever fails later takes nothing away
        lines.append(told(row))
        print(lines[-1], flush=True)
    tell(given, "\n".join(lines), [], said=True)


def _arguments() -> Namespace:
    made = parser(__doc__)
    made.add_argument("--only", choices=CASES, action="append", help="one package; may be repeated")
    made.add_argument("--prompts", type=int, default=4)
    made.add_argument("--pictures", type=int, default=4, help="of each prompt")
    made.add_argument("--side", type=int, default=512, help="of the JPEG files, in pixels")
    made.add_argument("--rounds", type=int, default=5)
    return made.parse_args()


def compared(name: str, python: Path, given: Namespace) -> Row | Missing:
    """The package beside beholder; its reason if it does not run here."""
    case = CASES[name]
    prompts = max(1, given.prompts // 4) if case.large else given.prompts
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths, texts = pictures(folder, prompts, given.pictures, given.side)
        try:
            with AskedPeer.made(python, name, folder) as peer:
                return _row(case, peer, paths, texts, given)
        except RuntimeError as error:
            return Missing(area=AREA, what=f"{case.what}, {case.call}", reason=str(error))


def pictures(folder: Path, prompts: int, each: int, side: int) -> tuple[list[Path], list[str]]:
    """JPEG files, and the prompt of each; those of a prompt lie together."""
    nouns = ("fox", "lighthouse in a storm", "bowl of red apples", "portrait of a dancer")
    texts = [f"a {nouns[k % 4]} number {k}, oil on canvas" for k in range(prompts)]
    paths = [folder / f"{k}.jpg" for k in range(prompts * each)]
    for k, path in enumerate(paths):
        path.write_bytes(jpeg(side, k))
    return paths, [text for text in texts for _ in range(each)]


def _row(
    case: Case, peer: AskedPeer, paths: list[Path], prompts: list[str], given: Namespace
) -> Row:
    reward = case.load(peer.folder / WEIGHTS)
    theirs, _ = peer.score(paths, prompts)  # both are warm from here on
    ours = reward.score(paths, prompts).total
    seconds = list(_rounds(reward, peer, paths, prompts, given.rounds))
    return Row(
        area=AREA,
        what=f"{case.what}, {len(paths)} JPEG files of {given.side}²",
        against=case.call,
        ratio=Spread.of_ratios([a for a, _ in seconds], [b for _, b in seconds]),
        peer=peer.package,
        agreement=agreement(torch.tensor(theirs), ours),
        headline=case.headline,
    )


def _rounds(
    reward: Reward, peer: AskedPeer, paths: list[Path], prompts: list[str], rounds: int
) -> Iterator[tuple[float, float]]:
    """CPU seconds of the package and of beholder, round by round."""
    for _ in range(rounds):
        _, theirs = peer.score(paths, prompts)
        forget(reward)
        start = time.process_time()
        reward.score(paths, prompts, batch_size=16)
        yield theirs, time.process_time() - start


def agreement(theirs: Tensor, ours: Tensor) -> str:
    """How far scores (n,) lie apart, beside how much they differ among themselves."""
    apart = (theirs - ours).abs().max().item()
    ranks = torch.stack([theirs.argsort().argsort(), ours.argsort().argsort()]).double()
    rho = torch.corrcoef(ranks)[0, 1].item()
    spread = theirs.std().item()
    return f"largest difference {apart:.1g} of spread {spread:.2g}, rank correlation {rho:.4f}"


def told(row: Row | Missing) -> str:
    """A row as a line."""
    if isinstance(row, Missing):
        return f"{row.what}: {row.reason}"
    return f"{row.what}: {row.ratio.told()} x {row.against} ({row.peer}), {row.agreement}"


def _missing(name: str) -> Missing:
    case = CASES[name]
    return Missing(area=AREA, what=f"{case.what}, {case.call}", reason="not installed: make peers")


if __name__ == "__main__":
    main()
