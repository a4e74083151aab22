"""Train RichHF on rich feedback: `train_richhf(RichHFTraining(...))` gives a run folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from beholder.annotation.joining.feedback import read_feedback
from beholder.errors import ConfigError
from beholder.rewards import Reward
from beholder.rewards.richhf import RichHF
from beholder.training.augment import Augmentation
from beholder.training.feedback import calibrate_words, feedback_task
from beholder.training.feedback_data import FeedbackStream, HeldOut, divide_feedback
from beholder.training.feedback_store import FeedbackStore, prepare
from beholder.training.fit.checkpoints import sha256
from beholder.training.fit.learner import require
from beholder.training.fit.loop import fit
from beholder.training.fit.processes import Processes
from beholder.training.richhf_loss import RichHFLoss
from beholder.training.run import (
    RunConfig,
    note_inputs,
    own_folder,
    rate_of,
    save,
    tell_dropped,
    trainee,
)
from beholder.training.towers.freezing import Trains
from beholder.types import Feedback

Given = Sequence[Feedback] | Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RichHFTraining(RunConfig):
    """How RichHF is trained on rich feedback; what `RunConfig` asks, and these.

    Attributes:
        feedback: folder that `annotation.joining.feedback.write_feedback` wrote; so is
            `evaluation`.
        pictures_per_batch: pictures in one batch of one process.
        loss: what is learned, and how it is weighed.
        augmentation: how pictures and their maps are moved.
    """

    feedback: str = "feedback"
    run: str = "runs/richhf"
    reward: str = "richhf"
    train: Trains = "all"
    pictures_per_batch: int = 32
    loss: RichHFLoss = field(default_factory=RichHFLoss)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        require("pictures_per_batch", self.pictures_per_batch, above=0)


def train_richhf(
    config: RichHFTraining,
    feedback: Sequence[Feedback] | None = None,
    evaluation: Sequence[Feedback] | None = None,
) -> Path:
    """Train RichHF and give its run folder, which `beholder.load` reads as the trained reward.

    The folder holds what `train_reward`'s holds, and prepared/: pictures and maps at the model's
    sides, which the run made when it began and learns from; it may be deleted afterwards. A run
    that was interrupted goes on when it is started again with the same configuration.

    Args:
        config: how.
        feedback: records in place of the folder in `config`.
        evaluation: the same for those to judge by.

    Raises:
        ConfigError: if the folder holds another run, or the reward is no RichHF or cannot train as
            asked.
        DataError: if the records cannot be read, or no picture is left to learn from.
    """
    given: Given = Path(config.feedback) if feedback is None else feedback
    judged: Given | None = evaluation
    if evaluation is None and config.evaluation:
        judged = Path(config.evaluation)
    processes = Processes(cpu=config.device == "cpu")
    with own_folder(asdict(config), processes) as folder:
        _train(config, given, judged, processes)
    return folder


def _train(
    config: RichHFTraining, given: Given, judged: Given | None, processes: Processes
) -> None:
    folder = Path(config.run)
    reward, start, _ = trainee(config)
    reward = _richhf(reward)
    store = _store(given, folder / "prepared" / "feedback", reward, processes)
    other = None
    if judged is not None:
        other = _store(judged, folder / "prepared" / "evaluation", reward, processes)
    if processes.is_main:
        hashes = {"feedback": _hash(given), "evaluation": "" if judged is None else _hash(judged)}
        note_inputs(folder, {"weights": start, **hashes})
    seed, size = config.fit.seed, config.pictures_per_batch
    sides = divide_feedback(store, other, share=config.held_out_share, seed=seed)
    if processes.is_main:
        tell_dropped(folder, sides.dropped, "records or parts of them")
    stream = FeedbackStream(store, sides.training, size, config.augmentation, seed)
    held_out = HeldOut(other or store, sides.held_out, size) if sides.held_out else None
    task = feedback_task(reward.to(processes.device), stream, held_out, config.loss)
    progress = fit(task, reward, config.fit, folder, processes, rate_of(config, reward))
    if processes.is_main:
        if held_out is not None:
            calibrate_words(reward, held_out)
        save(config, reward, progress, sides, "pictures")
    processes.wait()


def _richhf(reward: Reward) -> RichHF:
    if not isinstance(reward, RichHF):
        raise ConfigError(
            f"reward {reward.card.name} draws no maps and reads no words; use richhf, or train it "
            "on preferences"
        )
    return reward


def _store(given: Given, folder: Path, reward: RichHF, processes: Processes) -> FeedbackStore:
    if processes.is_main:
        records = read_feedback(given) if isinstance(given, Path) else given
        prepare(records, folder, reward, reward.map_side)
    processes.wait()
    return FeedbackStore(folder)


def _hash(given: Given) -> str:
    """sha256 of records, or of the files that hold them."""
    total = hashlib.sha256()
    for text in _lines(given):
        total.update(f"{text}\n".encode())
    return total.hexdigest()


def _lines(given: Given) -> Iterable[str]:
    if isinstance(given, Path):
        return [f"{path.name} {sha256(path)}" for path in sorted(given.rglob("*.parquet"))]
    return map(_line, given)


def _line(record: Feedback) -> str:
    maps = {k: hashlib.sha256(m.numpy().tobytes()).hexdigest() for k, m in record.maps.items()}
    return json.dumps({**asdict(replace(record, maps={})), "maps": maps}, sort_keys=True)
