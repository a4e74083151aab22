"""Inception features and the two resizes before them, beside torch-fidelity and clean-fid.

    python -m benchmarks._metrics_inception

Both networks have the same random weights of the real size. Rounds are interleaved, and the ratio
of each round is what counts, so that a busy machine slows both sides. CPU time of one thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from beholder.eval.extractors import load
from beholder.eval.extractors._base import Extractor
from beholder.eval.extractors._resize import resized
from tests.eval.extractors.random_weights import inception_state

Side = Callable[[], Tensor]
BATCH = 16
SIDES = (32, 256, 512, 1024)
PEER = "torch-fidelity"


def run(rounds: int = 3) -> list[str]:
    """The lines of a report: pictures a CPU second, ratios, and how far the results lie apart."""
    torch.set_num_threads(1)
    packages = ("torch", PEER, "clean-fid")
    lines = [", ".join(f"{name} {version(name)}" for name in packages) + ", one thread"]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "inception.pth"
        torch.save(inception_state(), path)
        for side in (299, 64):
            name = f"uint8 {side}² -> 2048, batch {BATCH}"
            lines += _compared(name, _features(path, side), BATCH, rounds)
    for side in SIDES:
        for name, sides in (("tf1", _tf1(side)), ("clean", _clean(side))):
            lines += _compared(f"resize {name}, {side}² -> 299²", sides, 1, 5 * rounds)
    return lines


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


def _compared(name: str, sides: Mapping[str, Side], pictures: int, rounds: int) -> list[str]:
    (own, rival), results = sides, [side() for side in sides.values()]  # also warms both up
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, call in sides.items():
            seconds[side].append(_cpu_seconds(call))
    apart = float((results[0] - results[1]).norm() / results[1].norm())
    return [f"{name}: {_told(own, rival, seconds, pictures)}, relative difference {apart:.1e}"]


def _told(own: str, rival: str, seconds: Mapping[str, Sequence[float]], pictures: int) -> str:
    ratios = [b / a for a, b in zip(seconds[own], seconds[rival], strict=True)]
    speeds = [
        f"{side} {1000 * statistics.median(seconds[side]) / pictures:.2f} ms"
        for side in (own, rival)
    ]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"{', '.join(speeds)}, {statistics.median(ratios):.2f} x ({spread})"


def _cpu_seconds(call: Side) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Inception features and resizes beside the peers")
    parser.add_argument("--rounds", type=int, default=3)
    sys.stdout.write("\n".join(run(parser.parse_args().rounds)) + "\n")
