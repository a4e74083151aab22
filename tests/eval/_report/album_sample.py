"""A report with a leaderboard and a gallery of 120 pictures, whose scores are known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from beholder.eval.overview import Overview, overview
from beholder.eval.report import PictureFeedback, Report
from beholder.tables import ScoreTable
from beholder.types import Preference
from tests._page.photographs import HOSTILE

CHECKPOINTS = {"late": 0.5, "half-way": 0.25, "early": 0.0}
CATEGORIES = ("animals", "places")
PROMPTS, SEEDS = 20, 2
CONFIG = {"reward": "mps", "weights": "abc", "beholder": "0", "alpha": "white"}


def prompt_of(k: int) -> str:
    return HOSTILE if k == 0 else f"prompt {k:02} of a {CATEGORIES[k % 2][:-1]}"


def score_of(k: int, seed: int, checkpoint: str) -> float:
    """Checkpoints are best in their order; prompts and seeds differ too, and no two are equal."""
    return CHECKPOINTS[checkpoint] + 0.001 * k + 0.1 * seed + (0.37 * k) % 1


def album_table(folder: Path, prompts: int) -> ScoreTable:
    """Small squares, each of its own grey; two rewards, one with three aspects."""
    table, rows = ScoreTable(folder / "scores"), []
    for k in range(prompts):
        for seed in range(SEEDS):
            for at, name in enumerate(CHECKPOINTS):
                path = folder / f"{name}-{k}-{seed}.png"
                Image.new("RGB", (24, 16), (2 * k, 100 * seed, 80 * at)).save(path)
                rows.append(_row(path, k, seed, name))
    scored = [score_of(row["k"], row["seed"], row["model"]) for row in rows]
    with table.writing() as writer:
        writer.add_inputs(rows)
        keys = [row["key"] for row in rows]
        for reward, sign, aspects in (("mine", 1, "abc"), ("other", -1, "")):
            writer.claim(reward, CONFIG)
            values = [sign * score for score in scored]
            columns = {f"{reward}.{aspect}": values for aspect in ("total", *aspects)}
            none = [None] * len(keys)
            writer.add_scores(reward, {"key": keys, **columns, f"{reward}.error": none})
    return table


def _row(path: Path, k: int, seed: int, model: str) -> dict[str, Any]:
    return {
        "key": path.stem,
        "image": str(path),
        "prompt": prompt_of(k),
        "model": model,
        "category": CATEGORIES[k % 2],
        "seed": seed,
        "k": k,
    }


def judgements(folder: Path, prompts: int) -> Sequence[Preference]:
    """People prefer late to early, but for the first prompt."""
    return [
        Preference(
            key=str(k),
            prompt=prompt_of(k),
            first=str(folder / f"late-{k}-0.png"),
            second=str(folder / f"early-{k}-0.png"),
            p_first={"overall": 1.0 if k else 0.0},
        )
        for k in range(min(prompts, 12))
    ]


def album_report(folder: Path, prompts: int = PROMPTS) -> Report:
    """All pictures; the first two pictures of the gallery have a map."""
    parts = Overview(
        judgements=judgements(folder, prompts), by="model", category="category", count=2
    )
    report = overview(album_table(folder, prompts), "mine", parts)
    maps = {"implausibility": torch.full((4, 4), 0.8), "misalignment": torch.eye(4)}
    said = [PictureFeedback(image=p.image, prompt=p.prompt, maps=maps) for p in report.best]
    return replace(report, feedback=said)
