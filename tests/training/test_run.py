import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

import beholder
from beholder.errors import ConfigError
from beholder.training.data import Dropped, Sides
from beholder.training.learner import FitConfig
from beholder.training.loop import Progress
from beholder.training.processes import Processes
from beholder.training.run import (
    RunConfig,
    note_inputs,
    own_folder,
    save,
    tell_dropped,
    trainee,
)
from beholder.types import Preference
from tests.training.spots import TINY

ALONE = Processes(cpu=True)


def config(folder: Path) -> RunConfig:
    return RunConfig(run=str(folder / "run"), reward="tiny", train="all")


def test_a_folder_goes_on_with_its_own_configuration_and_refuses_another(tmp_path: Path) -> None:
    given = config(tmp_path)
    with own_folder(asdict(given), ALONE) as folder:
        assert folder == tmp_path / "run"
        with (
            pytest.raises(ConfigError, match="another process trains"),
            own_folder(asdict(given), ALONE),
        ):
            pass
    other = replace(given, fit=FitConfig(steps=7))
    with (
        pytest.raises(ConfigError, match=r"fit\.steps was 500, now 7"),
        own_folder(asdict(other), ALONE),
    ):
        pass


def test_places_of_files_may_change(tmp_path: Path) -> None:
    given = replace(config(tmp_path), evaluation="here")
    with own_folder(asdict(given), ALONE, ("run", "evaluation")):
        pass
    with own_folder(asdict(replace(given, evaluation="there")), ALONE, ("run", "evaluation")):
        pass


def test_random_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    hashes: list[str] = []
    for seed in (0, 1, 0):
        torch.manual_seed(len(hashes))
        before = torch.get_rng_state()
        given = replace(config(tmp_path), reward="richhf", options=TINY, fit=FitConfig(seed=seed))
        reward, start, towers = trainee(given)
        assert torch.equal(torch.get_rng_state(), before)
        assert all(weight.requires_grad for weight in reward.parameters())
        assert towers == set()
        hashes.append(start)
    assert hashes[0] == hashes[2] != hashes[1]


def test_other_inputs_are_refused(tmp_path: Path) -> None:
    note_inputs(tmp_path, {"weights": "a"})
    assert json.loads((tmp_path / "versions.json").read_text())["beholder"] == beholder.__version__
    with pytest.raises(ConfigError, match="weights was 'a', now 'b'"):
        note_inputs(tmp_path, {"weights": "b"})


def test_what_was_dropped_is_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        tell_dropped(tmp_path, [], "records")
    assert caplog.text == ""
    with caplog.at_level("WARNING"):
        tell_dropped(tmp_path, [Dropped("a", "missing: x"), Dropped("b", "missing: y")], "records")
    assert "2 records cannot be used (2 missing); see dropped.json" in caplog.text
    told = json.loads((tmp_path / "dropped.json").read_text())
    assert told["rows"][1] == {"key": "b", "reason": "missing: y"}


def test_the_saved_reward_loads_and_the_summary_counts(tmp_path: Path) -> None:
    given = config(tmp_path)
    reward = beholder.load("tiny")
    pair = Preference(key="k", prompt="x", first="a", second="b", p_first={})
    progress = Progress(step=5, best_step=3, metrics={"eval/loss": 0.5})
    Path(given.run).mkdir()
    save(given, reward, progress, Sides([pair, pair], [pair], []), "pairs")
    loaded = beholder.load(given.run)
    assert loaded.state_dict().keys() == reward.state_dict().keys()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary == {
        "steps": 5,
        "best_step": 3,
        "stopped_early": False,
        "metrics": {"eval/loss": 0.5},
        "pairs": {"training": 2, "held_out": 1},
        "dropped": {},
    }


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="lora_rank must be above 0"):
        RunConfig(lora_rank=0)
    with pytest.raises(ConfigError, match="held_out_share must be at least 0 and below 1"):
        RunConfig(held_out_share=1)
