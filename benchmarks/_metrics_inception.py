"""Inception features and the two resizes before them, beside torch-fidelity and clean-fid.

    python -m benchmarks._metrics_inception

Both networks have the same random weights of the real size. Rounds are interleaved, and the ratio
of each round is what counts, so that a busy machine slows both sides. CPU time of one thread.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from beholder.eval.extractors import load
from beholder.eval.extractors._base import Extractor
from beholder.eval.extractors._resize import resized
from benchmarks._options import heading, named, parser, tell
from benchmarks._record import Row, Spread
from benchmarks._rounds import interleaved
from tests.eval.extractors.random_weights import inception_state

Side = Callable[[], Tensor]
BATCH = 16
SIDES = (32, 256, 512, 1024)
PEER = "torch-fidelity"


def run(rounds: int = 3) -> Iterator[Row]:
    """Features of pictures of two sizes, and both resizes of four."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "inception.pth"
        torch.save(inception_state(), path)
        for side in (299, 64):
            name = f"Inception features of {BATCH} pictures of {side}²"
            yield _compared(name, _features(path, side), rounds)
        for side in SIDES:
            for kind, sides in (("tf1", _tf1(side)), ("clean", _clean(side))):
                yield _compared(f"resize {kind}, {side}² to 299²", sides, 5 * rounds)


def _features(path: Path, side: int) -> dict[str, Side]:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    peer = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
    )
    ours: Extractor = load("inception", path)
    batch = torch.stack([_picture(side, seed) for seed in range(BATCH)])

    def own() -> Tensor:
        prepared = torch.stack([ours.prepare(picture) for picture in batch])
        found: Tensor = ours(prepared, ["2048"])["2048"]
        return found

    return {"beholder": own, PEER: lambda: peer(batch)[0]}


def _tf1(side: int) -> dict[str, Side]:
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x as peer,
    )

    picture = _picture(side, 0)
    return {
        "beholder": lambda: resized(picture, 299, "tf1"),
        PEER: lambda: peer(picture[None].float(), (299, 299), align_corners=False)[0],
    }


def _clean(side: int) -> dict[str, Side]:
    from cleanfid.resize import build_resizer

    picture = _picture(side, 0)
    peer: Any = build_resizer("clean")
    last = picture.permute(1, 2, 0).numpy()
    return {
        "beholder": lambda: resized(picture, 299, "clean"),
        "clean-fid": lambda: torch.from_numpy(peer(last)).permute(2, 0, 1),
    }


def _picture(side: int, seed: int) -> Tensor:
    """Noise, laid out in memory as decoders do: the colours of a pixel together."""
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return torch.from_numpy(values).permute(2, 0, 1)


def _compared(what: str, sides: Mapping[str, Side], rounds: int) -> Row:
    (own, rival), results = sides, [side() for side in sides.values()]  # also warms both up
    seconds = interleaved(sides, rounds)
    apart = float((results[0] - results[1]).norm() / results[1].norm())
    return Row(
        area="metrics",
        what=what,
        against=rival,
        ratio=Spread.of_ratios(seconds[rival], seconds[own]),
        peer=named(rival),
        agreement=f"relative difference {apart:.1e}",
    )


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=3)
    given = made.parse_args()
    torch.set_num_threads(1)
    rows = list(run(given.rounds))
    lines = [f"{r.what}: {r.ratio.told()} x {r.against}, {r.agreement}" for r in rows]
    tell(given, "\n".join([heading("torch", PEER, "clean-fid"), *lines]), rows)


if __name__ == "__main__":
    main()
