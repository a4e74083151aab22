"""Pictures a second of one reward on a device, and the share of the device's own matrix rate.

    python -m benchmarks.throughput --reward pickscore --device cuda --dtype bf16 --batch 128
    python -m benchmarks.throughput --reward mps --device cuda --dtype bf16 --batch 64

Three rates: of pictures that lie on the device already prepared; of 8-bit pictures in memory; and
of JPEG files, decoded and shrunk in threads, through `score_table` as users call it. Operations are
counted by torch's FlopCounterMode; the device's rate is that of one large matrix product of the
same type, measured here. Weights are random, prompts are cached.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import beholder
from beholder.inputs import read_inputs
from beholder.rewards import Reward
from beholder.rewards._precision import DTYPES
from beholder.rewards.scoring import score_table
from benchmarks._options import heading, parser, tell
from benchmarks._pictures import jpeg
from benchmarks._record import Missing, Row, Spread
from benchmarks.scoring import CROSS, SIZE_NAMES, SIZES

PROMPT = "a lighthouse in a storm, oil on canvas"


def main() -> None:
    given = _arguments()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        why = Missing(
            area="scoring",
            what=f"pictures a second on a GPU, {given.reward} {SIZE_NAMES[given.size]}",
            reason="no GPU; --device cpu measures the processor",
        )
        tell(given, why.reason, [why])
        return
    device = torch.device(given.device)
    torch.manual_seed(0)
    reward = _reward(given.reward, given.size).cast(DTYPES[given.dtype]).to(device).eval()
    side = cast("Any", reward).towers.preprocess.size
    pixels = torch.randint(0, 256, (given.batch, 3, side, side), dtype=torch.uint8)
    flops = _flops(reward, pixels[:1])
    peak = _matrix_rate(device, DTYPES[given.dtype], given.matrix)
    rates = {
        "prepared": _prepared_rate(reward, pixels, given.rounds),
        "8-bit in memory": _memory_rate(reward, pixels, given.rounds),
        "JPEG files": _file_rate(reward, given),
    }
    report = {
        "machine": heading("torch", "transformers", "simplejpeg", note=_machine(device)),
        "reward": f"{given.reward} {given.size} {given.dtype}, batch {given.batch}",
        "GFLOP a picture": round(flops / 1e9, 1),
        "matrix TFLOP/s": round(peak / 1e12, 2),
        "pictures a second": {name: round(rate, 1) for name, rate in rates.items()},
        "share of the matrix rate": {n: round(r * flops / peak, 3) for n, r in rates.items()},
    }
    tell(given, json.dumps(report, indent=2, ensure_ascii=False), _rows(given, rates, flops / peak))


def _rows(given: argparse.Namespace, rates: Mapping[str, float], share: float) -> Iterator[Row]:
    """From files beside the prepared pictures, and both beside what the matrices allow."""
    what = f"{given.reward} {SIZE_NAMES[given.size]} {given.dtype} on {given.device}"
    others = {
        "8-bit pictures in memory": rates["JPEG files"] / rates["8-bit in memory"],
        "prepared pictures": rates["JPEG files"] / rates["prepared"],
        "the device's matrix rate": rates["JPEG files"] * share,
    }
    for against, ratio in others.items():
        yield Row(
            area="scoring",
            what=f"{what}, {given.files} JPEG files of {given.side}²",
            against=against,
            ratio=Spread.of([ratio]),
            unit="pictures a second",
        )


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--reward", choices=["pickscore", "mps"], default="pickscore")
    made.add_argument("--size", choices=SIZES, default="h14", help="of the towers")
    made.add_argument("--device", default="cuda")
    made.add_argument("--dtype", choices=DTYPES, default="bf16")
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--rounds", type=int, default=10)
    made.add_argument("--files", type=int, default=2048)
    made.add_argument("--side", type=int, default=512, help="of the JPEG files")
    made.add_argument("--matrix", type=int, default=8192, help="side of the matrices")
    return made.parse_args()


def _machine(device: torch.device) -> str:
    threads = f"{torch.get_num_threads()} threads"
    return f"{torch.cuda.get_device_name(device)}, {threads}" if device.type == "cuda" else threads


def _reward(name: str, size: str) -> Reward:
    if name == "mps":
        return beholder.load("mps", config={"clip": SIZES[size], "cross": CROSS[size]})
    return beholder.load("pickscore", config=SIZES[size])


@torch.no_grad()
def _flops(reward: Reward, pixels: Tensor) -> float:
    values = reward.preprocess(pixels.to(reward.device))
    reward.score_prepared(values, [PROMPT])  # now the prompt is cached
    with FlopCounterMode(display=False) as counter:
        reward.score_prepared(values, [PROMPT])
    return float(counter.get_total_flops())


def _matrix_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 * _rate(lambda: a @ b, 1, 10, device)


def _rate(run: Callable[[], object], count: int, rounds: int, device: torch.device) -> float:
    """Median of `count` a second."""
    run()
    seconds = []
    for _ in range(rounds):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return count / statistics.median(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _prepared_rate(reward: Reward, pixels: Tensor, rounds: int) -> float:
    values = reward.preprocess(pixels.to(reward.device))
    prompts = [PROMPT] * len(pixels)

    @torch.no_grad()
    def run() -> None:
        reward.score_prepared(values, prompts)

    return _rate(run, len(pixels), rounds, reward.device)


def _memory_rate(reward: Reward, pixels: Tensor, rounds: int) -> float:
    rows, prompts = list(pixels), [PROMPT] * len(pixels)

    @torch.no_grad()
    def run() -> None:
        reward.score_rows(rows, prompts).total.tolist()

    return _rate(run, len(pixels), rounds, reward.device)


def _file_rate(reward: Reward, given: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pictures"
        folder.mkdir()
        distinct = [jpeg(given.side, k) for k in range(min(64, given.files))]
        for k in range(given.files):
            (folder / f"{k:06}.jpg").write_bytes(distinct[k % len(distinct)])
            (folder / f"{k:06}.txt").write_text(PROMPT)
        summary = score_table(
            read_inputs(str(folder)), {"r": reward}, Path(name) / "out", batch_size=given.batch
        )
    return summary.rows / summary.seconds


if __name__ == "__main__":
    main()
