"""`run_quickstart`: the whole loop, from judgements to a report, as a user would go through it."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import beholder
from beholder.annotation.reading.importing import import_export
from beholder.annotation.records.dataset import read_preferences
from beholder.errors import DataError
from beholder.eval.filtering import FilterSummary as Filtered
from beholder.eval.filtering import Rule, filter_table
from beholder.eval.overview import Overview, explained, overview
from beholder.eval.report import FilterSummary, Report, write_report
from beholder.quickstart.annotators import ANNOTATORS, NOTICE
from beholder.quickstart.degrade import CHECKPOINTS
from beholder.quickstart.diary import Diary, one_thread
from beholder.quickstart.material import Sizes, write_material
from beholder.quickstart.towers import save_baseline, save_start
from beholder.rewards import load
from beholder.rewards.mps import MPS
from beholder.rewards.scoring import read_inputs, score_table
from beholder.tables import ScoreTable
from beholder.training.fit.learner import FitConfig
from beholder.training.reward import RewardTraining, train_reward
from beholder.types import ASPECTS

FIT = FitConfig(
    steps=900,
    learning_rate=3e-3,
    warmup_steps=70,
    weight_decay=0.5,
    ema_decay=0.99,
    precision="fp32",
    checkpoint_every_steps=300,
)
"""How the head is trained; the running average of its weights matters most."""

REWARD, BASELINE = "mine", "clipscore_style"
_MARK = "quickstart.json"
_SAMPLE = 96  # pictures and prompts that set the scale of the start
_BATCH = 2  # pictures in one pass: larger ones outgrow a CPU's caches


def run_quickstart(
    folder: Path,
    *,
    seed: int = 0,
    sizes: Sizes | None = None,
    fit: FitConfig = FIT,
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[int], object] = lambda count: None,
) -> dict[str, object]:
    """What `folder`/summary.json says, once folder/report.html is written as well.

    All parts repeat to the same result, and training and scoring go on where they were stopped.

    Args:
        folder: for everything; new, empty or of the same quickstart.
        seed: of pictures, annotators and training.
        sizes: how many pictures; None takes the usual.
        fit: how the reward is trained.
        say: called with each line for a person, such as the shell line that does the same.
        progress: called with 1 after each picture that is made.

    Raises:
        DataError: if the folder holds something else.
        MissingDependencyError: if a package with photographs or weights is not installed.
    """
    diary, sizes = Diary(say), sizes or Sizes()
    _claim(folder, {"seed": seed, "sizes": asdict(sizes), "fit": asdict(fit)})
    say(NOTICE)
    with one_thread():
        _judge(folder, sizes, seed, diary, progress)
        _learn(folder, replace(fit, seed=seed), diary)
        _score(folder, diary)
        return _tell(folder, diary)


def _claim(folder: Path, settings: Mapping[str, object]) -> None:
    mark = folder / _MARK
    text = json.dumps({**settings, "notice": NOTICE}, indent=2) + "\n"
    if mark.is_file():
        if mark.read_text(encoding="utf-8") != text:
            raise DataError(f"{folder} holds a quickstart with other settings; give a new folder")
    elif folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty and no quickstart made it; give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(text, encoding="utf-8")


def _judge(
    folder: Path, sizes: Sizes, seed: int, diary: Diary, progress: Callable[[int], object]
) -> None:
    """Pictures, what simulated annotators say of them, and data sets of that."""
    with diary.part("pictures of three simulated checkpoints, simulated annotators"):
        write_material(folder, sizes, seed=seed, progress=progress)
    answers, judgements = folder / "annotations", folder / "judgements"
    lines = [
        f"beholder annotate import {answers / part / 'export.json'} "
        f"--mapping {answers / part / 'mapping.jsonl'} --images {folder / 'pictures'} "
        f"-o {judgements / part}"
        for part in ("train", "test")
    ]
    with diary.part("judgements from the exports", *lines):
        for part in ("train", "test"):
            import_export(
                [answers / part / "export.json"],
                judgements / part,
                mapping=answers / part / "mapping.jsonl",
                images_root=folder / "pictures",
                notice=NOTICE,
            )


def _learn(folder: Path, fit: FitConfig, diary: Diary) -> None:
    """A reward with four dimensions, in folder/runs/mine."""
    config = RewardTraining(
        preferences=str(folder / "judgements" / "train" / "preferences"),
        run=str(folder / "runs" / REWARD),
        reward=str(folder / "start"),
        aspect_weights={"alignment": 2.0},
        pairs_per_batch=120,
        held_out_share=0.0,
        device="cpu",
        fit=fit,
    )
    with diary.part("pretrained towers, joined by a random head"):
        said = read_preferences(Path(config.preferences))
        pictures, prompts = _sample(p.first for p in said), _sample(p.prompt for p in said)
        save_start(folder / "start", pictures, prompts, seed=fit.seed)
        text = json.dumps(asdict(config), indent=2)  # JSON is YAML
        (folder / "train.yaml").write_text(text + "\n", encoding="utf-8")
    with diary.part("training on features", f"beholder train {folder / 'train.yaml'}"):
        train_reward(config)


def _sample(values: Iterable[str]) -> list[str]:
    """Some distinct values, spread over all of them."""
    distinct = sorted(set(values))
    return distinct[:: max(1, len(distinct) // _SAMPLE)][:_SAMPLE]


def _score(folder: Path, diary: Diary) -> None:
    """A table with scores of the test pictures by the new reward and by the baseline."""
    with diary.part("the baseline: the same towers, joined without judgements"):
        save_baseline(folder / "baseline")
    places = {REWARD: folder / "runs" / REWARD, BASELINE: folder / "baseline"}
    named = " ".join(f"--reward {name}={place}" for name, place in places.items())
    line = f"beholder score {folder / 'manifest.csv'} {named} -o {folder / 'scores'}"
    with diary.part("scores of pictures from photographs never trained on", line):
        rewards = {name: load(str(place)) for name, place in places.items()}
        inputs = read_inputs(folder / "manifest.csv")
        score_table(inputs, rewards, folder / "scores", batch_size=_BATCH)


def _tell(folder: Path, diary: Diary) -> dict[str, object]:
    """The filter, the report and the summary; they read the table and need no model but one."""
    scores, judgements = folder / "scores", folder / "judgements" / "test" / "preferences"
    rule = Rule(top=0.25, score=f"{REWARD}.total")
    lines = [
        f"beholder evaluate {folder / 'runs' / REWARD} {judgements}",
        f"beholder rank {scores} --by model --score {rule.score}",
        f"beholder filter {scores} --top {rule.top} --score {rule.score} --pictures link "
        f"-o {folder / 'kept'}",
        f"beholder report {scores} --reward {REWARD} --judgements {judgements} --by model "
        f"--explain {folder / 'runs' / REWARD} -o {folder / 'report.html'}",
    ]
    with diary.part("accuracy, ranking, filter, report", *lines):
        shutil.rmtree(folder / "kept", ignore_errors=True)
        kept = filter_table(ScoreTable(scores), rule, folder / "kept", pictures="link")
        page = _report(folder, judgements, kept, diary.commands)
        write_report(page, folder / "report.html")
    summary = _summary(page, kept, diary)
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    return summary


def _report(folder: Path, judgements: Path, kept: Filtered, commands: Sequence[str]) -> Report:
    rule = f"the best {kept.rule.top:.0%} by {kept.rule.score}"
    parts = Overview(
        judgements=read_preferences(judgements),
        by="model",
        title="Quickstart: from judgements to a reward",
        notice=NOTICE,
        judges="simulated annotators",
        filtered=FilterSummary(
            rule=rule, kept=kept.kept, dropped=kept.dropped, reasons=kept.reasons
        ),
        commands=commands,
    )
    page = overview(ScoreTable(folder / "scores"), REWARD, parts)
    reward = MPS.from_pretrained(folder / "runs" / REWARD)
    if not isinstance(reward, MPS):
        raise DataError(f"the run folder holds {reward.card.name}, expected mps")
    return explained(page, reward.explain, fit=reward.towers.preprocess.fit)


def _summary(page: Report, kept: Filtered, diary: Diary) -> dict[str, object]:
    rows = {(row.method, row.aspect): row for row in page.accuracy}
    mine = {aspect: rows[REWARD, aspect] for aspect in ASPECTS if (REWARD, aspect) in rows}
    return {
        "accuracy": {aspect: round(row.accuracy, 4) for aspect, row in mine.items()},
        "intervals": {a: [round(row.low, 4), round(row.high, 4)] for a, row in mine.items()},
        "pairs": {aspect: row.pairs for aspect, row in mine.items()},
        "baselines": {
            BASELINE: {a: round(rows[BASELINE, a].accuracy, 4) for a in mine},
            "chance": 0.5,
        },
        "ranking": [row.name for row in page.ranking],
        "true_ranking": list(CHECKPOINTS),
        "not_told_apart": [list(names) for names in page.not_told_apart],
        "filter": {"kept": kept.kept, "dropped": kept.dropped},
        "annotators": f"{len(ANNOTATORS)} simulated annotators; no human judgement",
        "seconds": diary.total(),
        "seconds_by_part": diary.seconds,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    packages = ("torch", "timm", "transformers", "scikit-image", "scikit-learn")
    found = {name: version(name) for name in packages}
    return {
        "beholder": beholder.__version__,
        "python": sys.version.partition(" ")[0],
        "platform": platform.platform(),
        **found,
    }
