"""`tune_quickstart`: the quickstart's own reward at work on a small pipeline, judged by the truth.

A pipeline learns the quickstart's pictures, good and bad, from scratch. ReFL with the reward that
the quickstart trained then moves it, while a second reward, with another head, watches. A judge
that shares nothing with either, trained on what is truly wrong with pictures, compares what the
pipeline draws before and after, of prompts that tuning never saw.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from beholder.configs._load import load_config
from beholder.errors import DataError
from beholder.eval._bootstrap import percentile_interval, resampled_sums
from beholder.quickstart.diary import Diary, one_thread
from beholder.quickstart.judge import TruthJudge, train_judge
from beholder.quickstart.painter import SAMPLING, Painting, train_painter
from beholder.quickstart.run import REWARD
from beholder.quickstart.scenes import scenes
from beholder.training._pipeline.loading import load_pipeline
from beholder.training._tuning.page import write_run_report
from beholder.training._tuning.pretraining import Pretraining
from beholder.training.algorithms._base import TuneFit
from beholder.training.algorithms.refl import ReflConfig
from beholder.training.pipeline import Driver, Lora
from beholder.training.reward import RewardTraining, train_reward
from beholder.training.run_folder import write_json
from beholder.training.tune import tune

SECOND = "second"
NOTICE = (
    "The judge is a program that was trained on the true faults of simulated pictures; nobody "
    "looked at these."
)
_DRAWS = 2000
_Config = TypeVar("_Config")
_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSizes:
    """How much is done; the default takes some twelve minutes beside the quickstart's own.

    Attributes:
        painting: how the pipeline is made.
        prompts: that tuning learns on.
        judged: further prompts, of which pictures are judged.
        watching_steps: of the second reward's training.
        judge_pictures, judge_steps: that the judge learns from, and of its training.
        fit: of the tuning.
    """

    painting: Painting = field(default_factory=Painting)
    prompts: int = 180
    judged: int = 120
    watching_steps: int = 200
    judge_pictures: int = 1800
    judge_steps: int = 500
    fit: TuneFit = field(
        default_factory=lambda: TuneFit(
            steps=60,
            learning_rate=1e-3,
            warmup_steps=5,
            evaluate_every_steps=15,
            checkpoint_every_steps=15,
            patience_evaluations=0,
            log_every_steps=5,
        )
    )


def tune_quickstart(
    folder: Path,
    *,
    seed: int = 0,
    sizes: TuneSizes | None = None,
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[int], object] = lambda count: None,
) -> dict[str, object]:
    """What the judge says, also in folder/tuned/judged.json and on folder/tuned/report.html.

    `folder` is a finished quickstart's. Training and tuning go on where they were stopped;
    `progress` is called with 1 after each step of the painter and picture of the judge.
    Raises DataError if there is no quickstart in the folder.
    """
    if not (folder / "runs" / REWARD / "config.json").is_file():
        raise DataError(f"{folder} holds no finished quickstart; run it first")
    sizes, diary = sizes or TuneSizes(), Diary(say)
    with one_thread():
        _paint(folder, sizes, seed, diary, progress)
        _watch(folder, sizes, seed, diary)
        _tune(folder, sizes, seed, diary)
        return _judge(folder, sizes, seed, diary, progress)


def _paint(
    folder: Path, sizes: TuneSizes, seed: int, diary: Diary, progress: Callable[[int], object]
) -> None:
    """A pipeline that draws such pictures, good and bad."""
    out = folder / "painter"
    if (out / "model_index.json").is_file():
        return
    with diary.part("a small pipeline, from scratch on these pictures"):
        train_painter(folder / "train.csv", out, sizes.painting, seed=seed, progress=progress)


def _watch(folder: Path, sizes: TuneSizes, seed: int, diary: Diary) -> None:
    """A second reward of the same judgements, whose head begins and learns otherwise."""
    first = load_config(folder / "train.yaml", [], RewardTraining)
    values = asdict(first)
    values["run"] = str(folder / "runs" / SECOND)
    values["feature_cache"] = str(Path(first.run) / "features")
    values["fit"] |= {"steps": sizes.watching_steps, "seed": seed + 1, "learning_rate": 1e-3}
    path = folder / "second.yaml"
    config = _written(values, path, RewardTraining)
    with diary.part("a second reward, which will watch", f"beholder train {path}"):
        train_reward(config)


def _tune(folder: Path, sizes: TuneSizes, seed: int, diary: Diary) -> None:
    """ReFL with the first reward, watched by the second."""
    prompts, _ = _prompts(sizes, seed)
    (folder / "prompts.txt").write_text("".join(f"{p}\n" for p in prompts), encoding="utf-8")
    config = ReflConfig(
        pipeline=str(folder / "painter"),
        run=str(folder / "tuned"),
        prompts=str(folder / "prompts.txt"),
        validation_count=36,
        reward=str(folder / "runs" / REWARD),
        held_out_reward=str(folder / "runs" / SECOND),
        sampling=SAMPLING,
        lora=Lora(rank=16),
        prompts_per_batch=8,
        pretraining=Pretraining(weight=1.0, samples=64, batch=8),
        device="cpu",
        fit=replace(sizes.fit, seed=seed),
    )
    path = folder / "tune.yaml"
    checked = _written(asdict(config), path, ReflConfig)
    with diary.part("ReFL: the first reward moves the pipeline", f"beholder tune {path}"):
        tune(checked)


def _judge(
    folder: Path, sizes: TuneSizes, seed: int, diary: Diary, progress: Callable[[int], object]
) -> dict[str, object]:
    """The share of prompts whose picture the judge finds better after tuning."""
    with diary.part("the judge learns the true faults of fresh pictures"):
        judge = train_judge(
            sizes.judge_pictures, seed=seed + 2, steps=sizes.judge_steps, progress=progress
        )
    with diary.part("pictures of new prompts, before and after"):
        driver = _driver(folder / "painter")
        _, prompts = _prompts(sizes, seed)
        before = _qualities(driver, judge, prompts)
        driver.load_lora(folder / "tuned")
        after = _qualities(driver, judge, prompts)
    told = {
        "judge": "the known truth",
        "notice": NOTICE,
        **compared(before["overall"], after["overall"], seed),
        "before": {name: round(float(q.mean()), 4) for name, q in before.items()},
        "after": {name: round(float(q.mean()), 4) for name, q in after.items()},
        "seconds_by_part": diary.seconds,
    }
    write_json(folder / "tuned" / "judged.json", told)
    write_run_report(folder / "tuned")
    return told


def _written(values: Mapping[str, object], path: Path, kind: type[_Config]) -> _Config:
    """The configuration as a user would load it from the file, which is written."""
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")  # JSON is YAML
    return load_config(path, [], kind)


def compared(before: Tensor, after: Tensor, seed: int) -> dict[str, object]:
    """Share of pairs (n) in which the second is better, a tie one half, with its interval."""
    wins = ((after > before).double() + 0.5 * (after == before).double()).numpy()
    draws = resampled_sums(np.stack([wins, np.ones_like(wins)], 1), _DRAWS, seed)
    interval = percentile_interval(draws[:, 0] / draws[:, 1])
    return {
        "win_rate": round(float(wins.mean()), 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "pictures": len(wins),
    }


def _driver(painter: Path) -> Driver:
    return load_pipeline(str(painter), {}, torch.device("cpu"), torch.float32)


def _prompts(sizes: TuneSizes, seed: int) -> tuple[list[str], list[str]]:
    """Prompts to tune on and others to judge by: photographs that the pipeline knows, any things.

    They are all different: things repeat for a photograph only after all were drawn.
    """
    count = sizes.prompts + sizes.judged
    drawn = scenes(count, np.random.default_rng([seed, 77]), held_out=False)
    prompts = [scene.prompt for scene in drawn]
    return prompts[: sizes.prompts], prompts[sizes.prompts :]


def _qualities(driver: Driver, judge: TruthJudge, prompts: Sequence[str]) -> Mapping[str, Tensor]:
    """Aspect -> the judge's qualities of a picture of each prompt, always of the same seeds."""
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, len(prompts), _BATCH):
        texts = list(prompts[start : start + _BATCH])
        seeds = list(range(10_000 + start, 10_000 + start + len(texts)))
        pixels = driver.sample(texts, SAMPLING, seeds=seeds).pixels
        for name, quality in judge.score(pixels, texts).items():
            parts.setdefault(name, []).append(quality)
    return {name: torch.cat(qualities) for name, qualities in parts.items()}
