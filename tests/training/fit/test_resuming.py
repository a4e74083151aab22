from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from beholder.errors import ConfigError
from beholder.training.fit.checkpoints import Checkpoint
from beholder.training.fit.journal import read_journal
from beholder.training.fit.learner import FitConfig
from beholder.training.fit.loop import fit
from beholder.training.fit.processes import Processes
from beholder.training.fit.resuming import Begun, begun, going_on, shared
from tests.training import line
from tests.training.together import join, rewound, together

FIT = FitConfig(
    steps=8,
    learning_rate=0.01,
    warmup_steps=2,
    accumulation=2,
    ema_decay=0.9,
    evaluate_every_steps=2,
    checkpoint_every_steps=4,
    log_every_steps=1,
)


def test_batches_of_a_step_are_shared_anew() -> None:
    first = Begun(processes=2, accumulation=3)
    assert [shared(replace(FIT, accumulation=3), first, n).accumulation for n in (1, 2, 3, 6)] == [
        6,
        3,
        2,
        1,
    ]
    assert shared(replace(FIT, accumulation=6), first, 1).accumulation == 6


def test_a_number_that_cannot_share_them_is_refused_and_told_which_can() -> None:
    with pytest.raises(ConfigError, match=r"2 x 3 batches .* 4 processes .* with 1, 2, 3, 6,"):
        shared(replace(FIT, accumulation=3), Begun(2, 3), 4)


def test_another_accumulation_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"begun with 2 x 3 .*, now 2 x 4 are asked"):
        shared(replace(FIT, accumulation=4), Begun(2, 3), 2)


def test_a_checkpoint_that_does_not_say_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not say how many processes made it"):
        begun(Checkpoint(3, {}, {}), FIT, 1)


def train(rank: int, count: int, port: int, folders: list[Path], config: FitConfig) -> None:
    """One of several processes; the first leaves `final.pt`."""
    join(rank, count, port)
    for folder in folders:
        module = line.model()
        fit(line.task(module), module, config, folder, processes := Processes(cpu=True))
        if processes.is_main:
            torch.save(module.state_dict(), folder / "final.pt")
    torch.distributed.destroy_process_group()


def alone(folder: Path, config: FitConfig) -> nn.Module:
    module = line.model()
    fit(line.task(module), module, config, folder, Processes(cpu=True))
    return module


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with dropout: of one process, of two, and one that two took up from one."""
    runs = tmp_path_factory.mktemp("runs")
    torch.save(alone(runs / "one", replace(FIT, accumulation=4)).state_dict(), runs / "one.pt")
    together(train, 2, [runs / "two"], FIT)
    rewound(runs / "one", 4, runs / "one, then two")
    together(train, 2, [runs / "one, then two"], replace(FIT, accumulation=4))
    return runs


def same(weights: nn.Module | Path, runs: Path) -> None:
    found = torch.load(weights) if isinstance(weights, Path) else weights.state_dict()
    for name, value in torch.load(runs / "one.pt").items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-6, msg=name)


def numbers(folder: Path) -> list[dict[str, float]]:
    rows = read_journal(folder / "metrics.jsonl")
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


def test_two_processes_drop_out_what_one_does(runs: Path) -> None:
    same(runs / "two" / "final.pt", runs)
    for mine, theirs in zip(numbers(runs / "two"), numbers(runs / "one"), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)


def test_two_processes_go_on_where_one_stopped(runs: Path) -> None:
    same(runs / "one, then two" / "final.pt", runs)
    assert [row["step"] for row in numbers(runs / "one, then two")] == [
        row["step"] for row in numbers(runs / "one")
    ]


def test_one_process_goes_on_where_two_stopped(tmp_path: Path, runs: Path) -> None:
    folder = rewound(runs / "two", 4, tmp_path / "run")
    same(alone(folder, FIT), runs)
    for weights in folder.glob("checkpoints/*/tensors.safetensors"):  # no need to read these
        kept = weights.read_bytes()
        weights.write_bytes(b"")
        assert going_on(folder, FIT, 1).accumulation == 4
        weights.write_bytes(kept)
    again = rewound(folder, 4, tmp_path / "again")  # a second change knows the first start
    together(train, 2, [again], FIT)
    same(again / "final.pt", runs)


def test_three_processes_do_not_go_on_where_two_stopped(tmp_path: Path, runs: Path) -> None:
    folder = rewound(runs / "two", 4, tmp_path / "run")
    three = Processes(cpu=True)
    three.count = 3
    module = line.model()
    with pytest.raises(ConfigError, match=r"3 processes cannot share evenly; go on with 1, 2, 4"):
        fit(line.task(module), module, FIT, folder, three)
