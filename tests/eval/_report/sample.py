"""A report with every section, on photographs that ship with scikit-image."""

import random
from pathlib import Path

import torch
from PIL import ImageFilter

from beholder.eval.report import (
    METHODS,
    AccuracyRow,
    Disagreement,
    ExplainedPicture,
    FilterSummary,
    RankRow,
    Report,
    ScoredPicture,
    Unread,
    best_and_worst,
)
from beholder.types import ASPECTS, Explanation, WordRelevance
from tests._page.feedbacks import of_photograph, said_of
from tests._page.photographs import HOSTILE, LONG, PHOTOGRAPHS, photograph

CHECKPOINTS = {"sdxl-turbo-step-4": 0.0, "sdxl-turbo-step-2": 1.4, "sdxl-turbo-step-1": 4.0}


def write_photographs(folder: Path) -> dict[tuple[str, str], Path]:
    """(photograph, checkpoint) -> a file; worse checkpoints are blurrier."""
    paths = {}
    for name in PHOTOGRAPHS:
        whole = photograph(name)
        for checkpoint, blur in CHECKPOINTS.items():
            paths[name, checkpoint] = folder / f"{name}-{checkpoint[-1]}.png"
            whole.filter(ImageFilter.GaussianBlur(blur)).save(paths[name, checkpoint])
    return paths


def scored(paths: dict[tuple[str, str], Path]) -> list[ScoredPicture]:
    chance = random.Random(3)
    pictures = []
    for (name, checkpoint), path in paths.items():
        level = 1.2 - CHECKPOINTS[checkpoint] / 2
        aspects = {aspect: level + chance.gauss(0, 0.5) for aspect in ASPECTS}
        pictures.append(
            ScoredPicture(
                image=path,
                prompt=PHOTOGRAPHS[name],
                total=aspects["overall"],
                aspects=aspects,
                name=path.name,
                group=checkpoint,
            )
        )
    return pictures


def explained(image: Path, prompt: str) -> ExplainedPicture:
    words, at = [], 0
    for k, word in enumerate(prompt.split()):
        start = prompt.index(word, at)
        at = start + len(word)
        words.append((word, start, at, (k * 37 % 11) / 11))
    explanations = []
    for k, aspect in enumerate(ASPECTS):
        rows, columns = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
        away = (rows - 2 - k % 2 * 2).square() + (columns - 3 - k // 2).square()
        weights = torch.exp(-away / (2 + 2 * k))
        relevance = [(w, s, e, (r + k * 0.27) % 1) for w, s, e, r in words]
        explanations.append(
            Explanation(
                aspect,
                1.31 - 0.8 * k,
                [WordRelevance(*word, kept=word[-1] > 0.3) for word in relevance],
                weights / weights.sum(),
            )
        )
    return ExplainedPicture(image=image, prompt=prompt, explanations=explanations)


def accuracy() -> list[AccuracyRow]:
    figures = {"aesthetics": 0.91, "detail": 0.94, "alignment": 0.86, "overall": 0.89}
    methods = (("MPS", 0.0, False), ("CLIPScore", 0.22, True), ("Chance", 0.5, True))
    return [
        AccuracyRow(
            aspect=aspect,
            method=method,
            accuracy=max(figure - less, 0.5),
            low=max(figure - less, 0.5) - 0.035,
            high=max(figure - less, 0.5) + 0.031,
            pairs=412,
            baseline=baseline,
        )
        for aspect, figure in figures.items()
        for method, less, baseline in methods
    ]


def disagreeing(paths: dict[tuple[str, str], Path], prompt: str, name: str) -> Disagreement:
    sharp, soft, _ = (paths[name, checkpoint] for checkpoint in CHECKPOINTS)
    return Disagreement(
        prompt=prompt,
        first=sharp,
        second=soft,
        people={"aesthetics": 0.9, "detail": 1.0, "alignment": 0.5, "overall": 0.8},
        model={"aesthetics": 0.22, "detail": 0.71, "alignment": 0.48, "overall": 0.13},
        votes=dict.fromkeys(ASPECTS, 5),
    )


def ranking() -> list[RankRow]:
    rows = []
    for k, name in enumerate(CHECKPOINTS):
        strength = (0.84, 0.61, -1.45)[k]
        rows.append(
            RankRow(
                name=name,
                strength=strength,
                low=strength - 0.24,
                high=strength + 0.26,
                win_rate=(0.78, 0.63, 0.09)[k],
                mean=(1.22, 0.48, -0.83)[k],
                pictures=240,
            )
        )
    return rows


def sample(folder: Path) -> Report:
    """A report with every section; its pictures are written to `folder`."""
    paths = write_photographs(folder)
    pictures = scored(paths)
    best, worst = best_and_worst(pictures, by="overall", count=6)
    gone = ScoredPicture(image=folder / "gone.png", prompt=LONG, total=-3.1, name="gone.png")
    hostile = ScoredPicture(image=best[0].image, prompt=HOSTILE, total=-2.0, name=HOSTILE)
    chance = random.Random(5)
    spread = {
        checkpoint: {a: [chance.gauss(1.2 - blur / 2, 0.6) for _ in range(240)] for a in ASPECTS}
        for checkpoint, blur in CHECKPOINTS.items()
    }
    return Report(
        title="Does the reward see what people see?",
        notice="The annotators of this sample are simulated and its scores are made up.",
        protocol=PROTOCOL,
        accuracy=accuracy(),
        ranking=ranking(),
        not_told_apart=[list(CHECKPOINTS)[:2]],
        best=best,
        worst=[gone, hostile, *worst[:4]],
        disagreements=[disagreeing(paths, PHOTOGRAPHS[n], n) for n in ("rocket", "chelsea")],
        explanations=[
            explained(paths[n, "sdxl-turbo-step-4"], PHOTOGRAPHS[n])
            for n in ("coffee", "astronaut")
        ],
        feedback=[
            of_photograph("chelsea", PHOTOGRAPHS["chelsea"]),
            said_of(HOSTILE),
            said_of(LONG, image=folder / "gone.png"),
        ],
        distributions=spread,
        filtered=FilterSummary(
            rule='mps.overall > 0.3 and mps.detail > 0  # "top 20 %"',
            kept=144,
            dropped=576,
            reasons={"mps.overall is 0.3 or less": 431, "below the top 20 %": 145},
            barely_kept=pictures[:3],
            barely_dropped=pictures[3:6],
        ),
        unread=[
            Unread(name="pictures/0031.png", code="truncated", reason="the file ends after 4 KiB"),
            Unread(name=f"{HOSTILE}.png", code="not-a-picture", reason="it starts like HTML"),
        ],
        commands=[
            "beholder score pictures/ --prompts prompts.csv --reward runs/mps -o scores/",
            "beholder report scores/ -o report.html",
        ],
        methods=list(METHODS.values()),
    )


def unkind() -> Report:
    """Names without a place to break, many checkpoints, a total alone and odd picture sizes."""
    endless = "runs/2026-03-14/" + "checkpoint" * 12
    names = [f"{endless}-{k}" for k in range(9)]
    sizes = ((8, 600), (600, 8), (1, 1))
    shown = [
        ScoredPicture(
            image=torch.zeros(3, *size, dtype=torch.uint8),
            prompt=prompt,
            total=1e6 / (k + 1),
            name=endless,
            group=endless,
        )
        for k, (size, prompt) in enumerate(
            zip(sizes, (endless * 20, "חתול " * 60, ""), strict=True)
        )
    ]
    return Report(
        title=endless,
        notice=endless,
        protocol={endless: endless, "reward": "clipscore"},
        accuracy=[
            AccuracyRow(
                aspect="total", method=m, accuracy=0.31, low=0.01, high=1.0, pairs=1_234_567
            )
            for m in names[:3]
        ],
        ranking=[
            RankRow(name=name, strength=-1234.5 * k, low=-1235.0 * k - 9, high=-1233.0 * k + 9)
            for k, name in enumerate(names)
        ],
        not_told_apart=[names[0:3], names[1:5], names[4:9]],
        best=shown,
        disagreements=[
            Disagreement(
                prompt=endless,
                first=shown[0].image,
                second=f"/{endless}.png",
                people={"total": 1.0},
                model={},
            )
        ],
        feedback=[said_of(picture.prompt, image=picture.image) for picture in shown],
        distributions={name: {"total": [1e6, 1e6 + 1e-3]} for name in names},
        unread=[Unread(name=endless, code=endless, reason=endless)] * 30,
        filtered=FilterSummary(rule=endless, kept=0, dropped=0, reasons={endless: 1}),
        commands=[endless],
        methods=[endless],
    )


PROTOCOL = {
    "reward": "runs/mps",
    "weights": "sha256 9f2c41d0b7e6",
    "protocol": "threshold 0.3, per sample",
    "beholder": "0.1.0",
    "torch": "2.11.0",
    "date": "2026-03-14",
    "pictures": "720",
    "held-out pairs": "412",
}
