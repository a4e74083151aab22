"""RichHF trained on scenes with exact truth, beside what a reward must beat; over an hour.

    python -m benchmarks._richhf --folder runs/scenes --out benchmarks/results/richhf.txt

Scenes are drawn, a start is made of pretrained towers out of packages, `beholder train
richhf_scenes_cpu` trains on them, and scenes of other objects on other photographs are measured.
Each step that was done before is left out. Of RichHF-18K, with pictures and prompts:

    beholder annotate source richhf18k --from RICHHF --split test --set pictures=PICTURES -o test/
    beholder evaluate runs/mine test/
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch

import beholder
from beholder._page.feedback import PictureFeedback
from beholder._page.poster import draw_grid
from beholder.annotation.joining.feedback import read_feedback, write_feedback
from beholder.annotation.sources import load as load_source
from beholder.eval.feedback import FeedbackEvaluation, evaluate_feedback
from beholder.eval.feedback_anchors import PUBLISHED_RICHHF
from beholder.eval.feedback_baselines import (
    CentreBias,
    ConstantBaseline,
    GaussianCentre,
    SpectralResidual,
    TrainingMeans,
)
from beholder.eval.preference import PictureScorer
from beholder.rewards.richhf import RichHF
from beholder.types import MAPS, RATED, Feedback, Scores, WordLabel
from beholder.words import word_spans
from benchmarks._options import heading, parser, tell
from benchmarks._richhf_start import align, build_start

COUNTS = {"train": 20_000, "dev": 600, "test": 600}
SHOWN = 10
FIGURES = (
    *(f"{aspect}.{measure}" for aspect in RATED for measure in ("plcc", "srcc")),
    *(
        f"{kind}.{measure}"
        for kind in MAPS
        for measure in ("mse", "mse_empty", "cc", "kld", "sim", "nss", "auc_judd")
    ),
    *(
        f"words.{rule}.{m}"
        for rule in ("micro", "published")
        for m in ("precision", "recall", "f1")
    ),
    "words.average_precision",
    "words.calibration_error",
)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--folder", type=Path, default=Path("runs/scenes"))
    made.add_argument("--processes", type=int, default=2)
    made.add_argument("--picture", type=Path, help="ten held-out scenes as a picture")
    given = made.parse_args()
    torch.set_num_threads(2)
    draw_scenes(given.folder, given.processes)
    make_start(given.folder)
    train(given.folder, given.processes)
    reward = beholder.load(str(given.folder / "run"))
    assert isinstance(reward, RichHF)
    tell(given, "\n".join(report(reward, given.folder)), [])
    if given.picture:
        show(reward, given.folder, given.picture)


def draw_scenes(folder: Path, processes: int) -> None:
    for split, count in COUNTS.items():
        if (folder / split).is_dir():
            continue
        pictures = folder / "pictures"
        source = load_source("scenes", count=count, processes=processes, folder=str(pictures))
        records = (r for r in source.records(None, split) if isinstance(r, Feedback))
        write_feedback(records, folder / split / "feedback")


def make_start(folder: Path) -> None:
    if (folder / "start").is_dir():
        return
    records = list(islice(read_feedback(folder / "train"), 600))
    reward = build_start()
    align(reward, [r.image for r in records[:128]], [r.prompt for r in records])
    reward.save_pretrained(folder / "start")


def train(folder: Path, processes: int) -> None:
    if (folder / "run" / "summary.json").exists():
        return
    launch = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
    places = {"feedback": "train", "evaluation": "dev", "reward": "start", "run": "run"}
    changes = [f"{key}={folder / name}" for key, name in places.items()]
    command = [*launch, "-m", "beholder", "train", "richhf_scenes_cpu", *changes]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def report(reward: RichHF, folder: Path) -> Iterator[str]:
    yield heading("torch", "transformers", "timm", note="two threads")
    yield ""
    yield f"RichHF on {COUNTS['test']} held-out scenes: other objects, other photographs."
    yield "Pretrained: EfficientNet-Lite0, MiniLM (frozen). From scratch: T5, projections, heads."
    yield ""
    yield from table(columns(reward, folder))
    yield ""
    yield from words(reward, folder)


@dataclass(frozen=True, slots=True)
class PromptAlone:
    """How often each word was altered in training, whatever is shown; nothing else."""

    shares: Mapping[str, float]
    mean: float

    @classmethod
    def of(cls, records: Iterable[Feedback]) -> PromptAlone:
        """Words of few records are drawn towards the mean."""
        seen: Counter[str] = Counter()
        altered: Counter[str] = Counter()
        for record in records:
            for word in record.words:
                seen[word.word.lower()] += 1
                altered[word.word.lower()] += word.p_misaligned > 0.5
        mean = altered.total() / seen.total()
        return cls({w: (altered[w] + 5 * mean) / (n + 5) for w, n in seen.items()}, mean)

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        words = [
            [
                WordLabel(p[a:b], a, b, self.shares.get(p[a:b].lower(), self.mean))
                for a, b in word_spans(p)
            ]
            for p in prompts
        ]
        return Scores(torch.zeros(len(images)), words=words)


def columns(reward: RichHF, folder: Path) -> Mapping[str, Mapping[str, float | None]]:
    side = reward.map_side
    means = TrainingMeans.of(islice(read_feedback(folder / "train"), 4000), side)
    rewards: dict[str, PictureScorer] = {
        "ours": reward,
        "constant": ConstantBaseline(means),
        "mean map": CentreBias(means),
        "centre": GaussianCentre(side),
        "saliency": SpectralResidual(side),
        "prompt alone": PromptAlone.of(islice(read_feedback(folder / "train"), 4000)),
    }
    found = {name: values(measured(scorer, folder)) for name, scorer in rewards.items()}
    anchors = {
        "paper: augmented*": "RAHF, augmented prompt (paper)",
        "author's: multi-head*": "RAHF, multi-head (author's PyTorch)",
    }
    return found | {
        title: {figure: anchor.value for figure, anchor in PUBLISHED_RICHHF[name].items()}
        for title, name in anchors.items()
    }


def measured(reward: PictureScorer, folder: Path, threshold: float = 0.5) -> FeedbackEvaluation:
    return evaluate_feedback(reward, read_feedback(folder / "test"), threshold=threshold)


def values(found: FeedbackEvaluation) -> dict[str, float | None]:
    return {name: estimate.value for name, estimate in found.figures.items()}


def table(columns: Mapping[str, Mapping[str, float | None]]) -> Iterator[str]:
    widths = [max(len(title), 9) for title in columns]
    yield row("", columns, widths)
    for figure in FIGURES:
        yield row(figure, [cell(column.get(figure)) for column in columns.values()], widths)
    yield "* on RichHF-18K's test split, people's judgements, not scenes: see feedback_anchors.py"


def row(name: str, cells: Iterable[str], widths: Sequence[int]) -> str:
    padded = [text.rjust(width) for text, width in zip(cells, widths, strict=True)]
    return "  ".join([name.ljust(26), *padded])


def cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def words(reward: RichHF, folder: Path) -> Iterator[str]:
    """The decoder and the light head side by side; each threshold is the best one on dev."""
    yield row("misaligned words, read by", ["decoder", "head"], [9, 9])
    found = {}
    for reader in ("decoder", "head"):
        reward.words = reader
        best = best_threshold(reward, folder)
        found[reader] = {**values(measured(reward, folder, best)), "threshold (dev)": best}
    for figure in (*(f for f in FIGURES if f.startswith("words")), "threshold (dev)"):
        yield row(figure, [cell(column.get(figure)) for column in found.values()], [9, 9])
    reward.words = "decoder"
    yield f"time of the head / time of the decoder: {ratio(reward, folder):.3f}"


def best_threshold(reward: RichHF, folder: Path) -> float:
    """The probability above which F1 of the held-out dev split is highest."""
    records = list(read_feedback(folder / "dev"))
    scores = reward.score([r.image for r in records], [r.prompt for r in records])
    shares = np.array([word.p_misaligned for said in scores.words for word in said])
    wrong = np.array([word.p_misaligned > 0.5 for r in records for word in r.words])
    order = np.argsort(-shares)
    true = np.cumsum(wrong[order])
    f1 = 2 * true / (np.arange(1, len(true) + 1) + wrong.sum())
    return float(shares[order][int(f1.argmax())]) - 1e-9


@torch.no_grad()
def ratio(reward: RichHF, folder: Path) -> float:
    """Of CPU time to read the words of 32 prompts, the median of seven turns each."""
    records = list(islice(read_feedback(folder / "test"), 32))
    prompts = [record.prompt for record in records]
    pixels = torch.rand(32, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    said = reward.predict(reward.preprocess(pixels), prompts)
    readers: Sequence[Callable[[], object]] = (
        lambda: reward.word_logits(said, prompts),
        lambda: reward.guided_logits(said, prompts),
    )
    spent: list[list[float]] = [[], []]
    for _ in range(8):
        for k, read in enumerate(readers):
            start = time.process_time()
            read()
            spent[k].append(time.process_time() - start)
    head, decoder = (median(turns[1:]) for turns in spent)
    return head / decoder


def show(reward: RichHF, folder: Path, path: Path) -> None:
    """Ten random held-out scenes with what is true of them."""
    records = list(read_feedback(folder / "test"))
    chosen = np.random.default_rng(0).permutation(len(records))[:SHOWN]
    drawn = []
    for record in (records[k] for k in chosen):
        scores = reward.score([record.image], [record.prompt])
        drawn.append(PictureFeedback.of(record.image, record.prompt, scores).beside(record))
    draw_grid(drawn, side=176).convert("RGB").save(path, quality=85, optimize=True)


if __name__ == "__main__":
    main()
