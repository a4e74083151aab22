"""What every training of a reward does: take a folder, set a reward's weights free, save it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch

from beholder.errors import ConfigError
from beholder.rewards import Reward, load
from beholder.training.fit.learner import FitConfig, RateOf, one_rate, require
from beholder.training.fit.loop import Progress
from beholder.training.fit.processes import Processes
from beholder.training.judged.data import Dropped, Sides, counts
from beholder.training.judged.prompts import Judged
from beholder.training.run_folder import (
    claim,
    sole_user,
    unclaimed_on_failure,
    write_json,
    write_versions,
)
from beholder.training.towers.checkpointing import checkpoint_towers, plain_blocks
from beholder.training.towers.features import weights_hash
from beholder.training.towers.freezing import (
    Blocks,
    LowRank,
    TowerName,
    Trains,
    are_towers_frozen,
    freeze,
    merge_lora,
    summary,
    tower_depths,
    tower_weights,
)

_LOG = logging.getLogger(__name__)

UNMOVED = (
    "no step was better on what was held out than the start, so the reward is saved as it was "
    "before this run"
)
"""What a run says that kept the weights it began with."""
_SHARES = frozenset({"layer_decay", "tower_rate"})
_READ: Mapping[Trains, frozenset[str]] = {
    "head": frozenset(),
    "last_blocks": _SHARES | {"last_blocks"},
    "fix_rate": _SHARES | {"fix_rate"},
    "lora": _SHARES | {"lora_rank", "lora_alpha", "lora_towers"},
    "all": _SHARES,
}
"""What each `train` reads of the fields that not every one reads. Activations are computed anew in
a head, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What every training of a reward is asked.

    Attributes:
        evaluation: folder of judgements that decide when to stop and which weights are best; ""
            holds prompts of the others out instead.
        run: folder for everything that comes out.
        reward: what `beholder.load` takes: a name, folder, hub repository or "module:Class".
        options: further arguments of `beholder.load`, such as `weights` or `config`.
        train: "head", "last_blocks", "fix_rate", "lora" or "all".
        last_blocks: blocks of each tower that train with "last_blocks"; {picture: n, text: m} names
            them apart, and a tower that is left out keeps all of its blocks frozen.
        fix_rate: share of each tower's blocks that stay frozen with "fix_rate", rounded down; with
            them what comes before, and the first weight of the next block, as in ImageReward.
        lora_rank: of the updates that train with "lora".
        lora_alpha: their factor times the rank; 0 is as the rank, a factor of 1.
        lora_towers: the towers that they update.
        layer_decay: the i-th block from a tower's top learns at this to the power i of the rate,
            what comes before the blocks as if it were one more (Bao et al., 2022).
        tower_rate: share of the learning rate by which weights inside the towers learn.
        checkpoint_activations: make most of what the blocks of towers and head hold anew in the
            backward pass, which needs less memory and more time; `checkpointing` says what.
        frozen: parts that stay as they are all the same, such as "joint.text".
        held_out_share: share of the prompts held out; 0 trains without evaluation.
        device: "auto" is the GPU if there is one.
        fit: steps, rates, precision, checkpoints; `fit.seed` also orders what is learned, chooses
            the prompts held out and draws random weights.
    """

    evaluation: str = ""
    run: str = "runs/reward"
    reward: str = "mps"
    options: Mapping[str, Any] = field(default_factory=dict)
    train: Trains = "head"
    last_blocks: Blocks = 4
    fix_rate: float = 0.7
    lora_rank: int = 16
    lora_alpha: int = 0
    lora_towers: tuple[TowerName, ...] = ("picture", "text")
    layer_decay: float = 1.0
    tower_rate: float = 1.0
    checkpoint_activations: bool = False
    frozen: tuple[str, ...] = ()
    held_out_share: float = 0.1
    device: Literal["auto", "cpu"] = "auto"
    fit: FitConfig = field(default_factory=FitConfig)

    def __post_init__(self) -> None:
        _check_blocks(self.last_blocks)
        for name in ("lora_rank", "tower_rate"):
            require(name, getattr(self, name), above=0)
        require("lora_alpha", self.lora_alpha, least=0)
        require("fix_rate", self.fix_rate, above=0, below=1)
        require("layer_decay", self.layer_decay, above=0, most=1)
        require("held_out_share", self.held_out_share, least=0, below=1)
        if not self.lora_towers:
            raise ConfigError("lora_towers names no tower; give picture, text or both")
        _refuse_unread(self)


@contextmanager
def own_folder(
    given: Mapping[str, Any], processes: Processes, places: Collection[str] = ("run",)
) -> Iterator[Path]:
    """The folder `given["run"]`, which nobody else uses inside, with `given` written or compared.

    `places` are keys that name files and change no weight: a folder that was moved goes on. A run
    that fails before it has made anything leaves no claim, so that it can be started otherwise.
    Raises ConfigError if it holds another run or another process trains in it.
    """
    folder = Path(given["run"])
    compared = {key: value for key, value in given.items() if key not in places}
    with ExitStack() as stack:
        if processes.is_main:
            stack.enter_context(sole_user(folder))
            stack.enter_context(unclaimed_on_failure(folder))
            claim(folder, "config.yaml", compared)
        processes.wait()
        yield folder


def trainee(config: RunConfig) -> tuple[Reward, str, set[str]]:
    """The reward with what is to train set free, the hash of its weights, names of frozen towers.

    Raises ConfigError if the reward cannot train as asked.
    """
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(config.fit.seed)
        reward = load(config.reward, **config.options).float()
        start = weights_hash(reward)
        towers = set().union(*tower_weights(reward)) if are_towers_frozen(config.train) else set()
        names = freeze(
            reward,
            config.train,
            last_blocks=config.last_blocks,
            fix_rate=config.fix_rate,
            lora=LowRank(rank=config.lora_rank, alpha=config.lora_alpha, towers=config.lora_towers),
            frozen=config.frozen,
        )
        if config.checkpoint_activations:
            checkpoint_towers(reward)
    _LOG.info("%s", summary(names, reward))
    return reward, start, towers


def rate_of(config: RunConfig, reward: Reward) -> RateOf:
    """The share of the learning rate by which each weight of the reward learns.

    1 outside the towers; inside tower_rate * layer_decay^i, i blocks below the tower's end.
    Raises ConfigError if a share is asked of towers and the reward has none.
    """
    share, decay = config.tower_rate, config.layer_decay
    if share == decay == 1:
        return one_rate
    depths = tower_depths(reward)
    return lambda name: share * decay ** depths[name] if name in depths else 1.0


def note_inputs(folder: Path, hashes: Mapping[str, str]) -> None:
    """Write what the run was given, or compare it, and the versions of what computes."""
    claim(folder, "inputs.yaml", hashes)
    write_versions(folder)


def tell_dropped(folder: Path, dropped: Sequence[Dropped], what: str) -> None:
    """Write `dropped.json`: what could not be used and why; the log says how many `what`."""
    found = counts(dropped)
    rows = [asdict(one) for one in dropped]
    write_json(folder / "dropped.json", {"counts": found, "rows": rows})
    if found:
        listed = ", ".join(f"{count} {code}" for code, count in found.items())
        _LOG.warning("%d %s cannot be used (%s); see dropped.json", len(rows), what, listed)


def save(
    config: RunConfig,
    reward: Reward,
    progress: Progress,
    sides: Sides[Judged],
    what: str,
    warnings: Sequence[str] = (),
    processes: int = 1,
) -> None:
    """Write the trained reward, and `summary.json`.

    It counts `what` was learned from, lists the `warnings` that training gave, and says how many
    `processes` there were at the end.
    """
    folder = Path(config.run)
    plain_blocks(reward)
    if config.train == "lora":
        merge_lora(reward)
    reward.cpu().save_pretrained(folder)
    best_step = progress.step if progress.metrics is None else progress.best_step
    found = [*warnings, *([UNMOVED] if best_step == 0 < progress.step else [])]
    told = {
        "steps": progress.step,
        "best_step": best_step,
        "stopped_early": progress.is_stopped,
        "metrics": dict(progress.metrics or {}),
        what: {"training": len(sides.training), "held_out": len(sides.held_out)},
        "dropped": counts(sides.dropped),
        "warnings": found,
        "processes": processes,
        **sides.told,
    }
    write_json(folder / "summary.json", told)


def _refuse_unread(config: RunConfig) -> None:
    """Raises ConfigError if a field is given that the chosen `train` does not read."""
    default = {one.name: one.default for one in fields(RunConfig)}
    for name in sorted(frozenset[str]().union(*_READ.values()) - _READ[config.train]):
        value = getattr(config, name)
        if value != default[name]:
            readers = ", ".join(train for train, read in _READ.items() if name in read)
            raise ConfigError(
                f"train={config.train!r} does not read {name}, which is {value!r}; leave it at "
                f"{default[name]!r}, or choose a train that reads it: {readers}"
            )


def _check_blocks(given: Blocks) -> None:
    counts = {"last_blocks": given} if isinstance(given, int) else dict(given)
    for name, count in counts.items():
        require(name if isinstance(given, int) else f"last_blocks.{name}", count, least=1)
    if not counts:
        raise ConfigError("last_blocks names no tower; give a number, or picture, text or both")
