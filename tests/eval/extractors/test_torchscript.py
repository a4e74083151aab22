"""Reading TorchScript files, and telling them from others."""

from pathlib import Path

import pytest
import torch
from torch import nn

from beholder.errors import WeightsError
from beholder.eval.extractors._torchscript import is_torchscript, load_script, script_state

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))


@pytest.fixture
def script(network: nn.Module, tmp_path: Path) -> Path:
    torch.jit.script(network).save(str(tmp_path / "network.pt"))
    return tmp_path / "network.pt"


def test_only_programs_are_programs(network: nn.Module, script: Path, tmp_path: Path) -> None:
    assert is_torchscript(script)
    torch.save(network.state_dict(), tmp_path / "state.pt")
    (tmp_path / "text.pt").write_text("no archive")
    for other in ("state.pt", "text.pt", "absent.pt"):
        assert not is_torchscript(tmp_path / other)


def test_a_program_runs_as_when_it_is_used(network: nn.Module, script: Path) -> None:
    values = torch.randn(2, 3, 5, 5)
    assert torch.equal(load_script(script)(values), network.eval()(values))


def test_its_weights_keep_names_and_values_without_counters(
    network: nn.Module, script: Path
) -> None:
    found, own = script_state(script), network.state_dict()
    assert found.keys() == own.keys() - {"1.num_batches_tracked"}
    assert all(torch.equal(value, own[name]) for name, value in found.items())


def test_other_and_damaged_files_are_refused(script: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pt is no TorchScript file"):
        load_script(tmp_path / "absent.pt")
    damaged = script.read_bytes().replace(b"__torch__", b"__crash__")
    (tmp_path / "damaged.pt").write_bytes(damaged)
    with pytest.raises(WeightsError, match="no intact TorchScript file"):
        load_script(tmp_path / "damaged.pt")
