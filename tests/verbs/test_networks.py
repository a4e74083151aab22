import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig

import beholder
from beholder._verbs.networks import TorchScript, find_network, input_spec, input_tensors
from beholder.errors import ConfigError, MissingDependencyError, WeightsError
from beholder.rewards import Reward
from beholder.training.pipeline import Driver

CPU, META = torch.device("cpu"), torch.device("meta")


def found(name: str, device: torch.device = CPU, **options: object) -> nn.Module | Driver:
    return find_network(name, options, device, torch.float32)


def traced(path: Path, *, frozen: bool = False) -> Path:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.trace(net, torch.zeros(1, 3, 8, 8))
        torch.jit.save(torch.jit.freeze(script) if frozen else script, path)
    return path


def test_an_input_is_sizes_with_a_name_and_a_type() -> None:
    spec = input_spec("input_ids=2,77:int64")
    assert (spec.name, spec.shape, spec.dtype) == ("input_ids", (2, 77), torch.int64)
    assert torch.equal(spec.tensor(CPU, torch.float32), torch.ones(2, 77, dtype=torch.int64))
    plain = input_spec("1,3,8,8", batch_size=5)
    assert plain.shape == (5, 3, 8, 8)
    pixels = plain.tensor(CPU, torch.float16)
    assert pixels.dtype == torch.float16
    assert 0 <= pixels.min() < 0.1 < 0.9 < pixels.max() <= 1
    assert plain.tensor(META, torch.float32).device == META


@pytest.mark.parametrize("text", ["", "1,x", "1,0,3", "1,3:int63", "2d=1,3", "1;3", "-1,3"])
def test_an_input_that_says_something_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--input takes \[NAME=\]SIZES\[:TYPE\]"):
        input_spec(text)


def test_inputs_go_by_position_or_all_by_name() -> None:
    by_position = input_tensors([input_spec("1,2"), input_spec("3")], CPU, torch.float32)
    assert isinstance(by_position, list)
    assert [tuple(t.shape) for t in by_position] == [(1, 2), (3,)]
    by_name = input_tensors([input_spec("a=1,2"), input_spec("b=3")], CPU, torch.float32)
    assert isinstance(by_name, dict)
    assert list(by_name) == ["a", "b"]
    for mixed in (["a=1", "2"], ["a=1", "a=2"]):
        with pytest.raises(ConfigError, match="name every --input once"):
            input_tensors([input_spec(text) for text in mixed], CPU, torch.float32)


def test_timm_makes_a_network_of_random_weights() -> None:
    pytest.importorskip("timm")
    net = found("timm:resnet18", META, num_classes=7)
    assert isinstance(net, nn.Module)
    assert net(torch.zeros(1, 3, 32, 32, device="meta")).shape == (1, 7)
    assert not net.training
    with pytest.raises(ConfigError, match="timm makes no model of 'resnet19'"):
        found("timm:resnet19")


def test_without_timm_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDependencyError, match="pip install timm"):
        found("timm:resnet18")


@pytest.mark.parametrize("prefix", ["", "hf:"])
def test_a_config_of_transformers_is_enough(tmp_path: Path, prefix: str) -> None:
    CLIPVisionConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2).save_pretrained(
        tmp_path
    )
    net = found(f"{prefix}{tmp_path}", META)
    assert type(net).__name__ == "CLIPVisionModel"
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["CLIPVisionModelWithProjection"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert type(found(str(tmp_path), META)).__name__ == "CLIPVisionModelWithProjection"
    with pytest.raises(ConfigError, match="has no hidden_sise"):
        found(str(tmp_path), META, hidden_sise=3)


def test_a_repository_that_cannot_be_had_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="cannot read the config of 'nobody/nothing'"):
        found("hf:nobody/nothing")


def test_a_torchscript_file_runs(tmp_path: Path) -> None:
    net = found(str(traced(tmp_path / "net.pt")))
    assert isinstance(net, TorchScript)
    assert net(torch.zeros(2, 3, 9, 9)).shape == (2, 4, 7, 7)
    with pytest.raises(ConfigError, match="use cpu or cuda"):
        found(str(tmp_path / "net.pt"), META)


def test_a_torchscript_file_whose_weights_are_hidden_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="was frozen"):
        found(str(traced(tmp_path / "net.pt", frozen=True)))
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(WeightsError, match="no TorchScript file"):
        found(str(tmp_path / "text.pt"))


def test_rewards_are_random_where_their_weights_would_be_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    reward = found("clipscore")
    assert isinstance(reward, Reward)
    assert reward.card.name == "clipscore"


def test_a_reward_is_found_by_folder_and_by_class(tmp_path: Path) -> None:
    beholder.load("tiny", seed=3).save_pretrained(tmp_path)
    for name, seeds in ((str(tmp_path), {}), ("beholder.rewards.tiny:build", {"seed": 3})):
        reward = find_network(name, seeds, CPU, torch.float32)
        assert isinstance(reward, Reward)
        assert reward.options() == {"seed": 3}
        with pytest.raises(ConfigError, match="use cpu or cuda"):
            find_network(name, seeds, META, torch.float32)


def test_a_pipeline_keeps_its_own_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    from beholder.training._pipeline.tiny import tiny_pipeline

    monkeypatch.setitem(sys.modules, "own", SimpleNamespace(make=tiny_pipeline))
    for name in ("tiny", "own:make"):
        driver = found(name, seed=1)
        assert isinstance(driver, Driver)
        assert type(driver.pipe.scheduler).__name__ == "FlowMatchEulerDiscreteScheduler"
        with pytest.raises(ConfigError, match="use cpu or cuda"):
            found(name, META)


def test_a_network_of_ones_own_is_built_with_its_options() -> None:
    net = find_network("torch.nn:Linear", {"in_features": 3, "out_features": 2}, CPU, torch.float16)
    assert isinstance(net, nn.Linear)
    assert net.weight.dtype == torch.float16
    assert isinstance(found("torch.nn:Identity")(torch.ones(1)), Tensor)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=r"cannot build 'torch.nn:Linear'.*--set"):
        found("torch.nn:Linear")
    with pytest.raises(ConfigError, match="gave a list, expected a torch module"):
        found("builtins:list")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing", "no network named 'nothing'; give"),
        ("torch.nn:Nothing", "write it as module:Class"),
        ("no_such_module:Net", "write it as module:Class"),
    ],
)
def test_a_name_of_nothing_says_what_there_is(name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        found(name)
