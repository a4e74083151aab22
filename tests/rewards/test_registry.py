from pathlib import Path

import pytest
import torch

import beholder
from beholder.errors import BeholderError, ConfigError, WeightsError
from beholder.rewards import Reward, load, names
from beholder.rewards.tiny import Tiny, build

REWARDS = Path(beholder.__file__).parent / "rewards"


def test_the_folder_is_the_registry() -> None:
    files = {path.stem for path in REWARDS.glob("[!_]*.py")} - {"scoring", "serving"}
    assert names() == sorted(files)
    assert "tiny" in names()


def test_a_reward_is_loaded_in_eval_mode_with_its_options() -> None:
    reward = load("tiny", seed=7)
    assert isinstance(reward, Tiny)
    assert reward.options() == {"seed": 7}
    assert not reward.training


def test_a_dtype_and_a_device_are_honoured() -> None:
    reward = load("tiny", dtype=torch.float64, device="cpu")
    assert {p.dtype for p in reward.parameters()} == {torch.float64}
    assert reward.device == torch.device("cpu")
    pixels = torch.rand(1, 3, 32, 32)
    assert reward(pixels, ["a cat"]).total.dtype == torch.float64


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tinny", "did you mean 'tiny'"), ("zzz", "known: .*tiny"), ("", "known: .*tiny")],
)
def test_an_unknown_name_names_the_closest_or_all(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        load(name)


@pytest.mark.parametrize("name", ["_base", "scoring", "__init__", "os"])
def test_a_module_that_is_no_reward_is_no_name(name: str) -> None:
    with pytest.raises(ConfigError, match="no reward named"):
        load(name)


@pytest.mark.parametrize("options", [{"sed": 1}, {"threshold": 0.3}])
def test_an_unknown_option_is_named(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"'tiny' has no option '{name}'"):
        load("tiny", **options)  # type: ignore[arg-type]


def test_weights_and_sizes_are_options_that_a_reward_may_not_know() -> None:
    with pytest.raises(ConfigError, match="has no option 'weights'"):
        load("tiny", weights="w.pt")
    with pytest.raises(ConfigError, match="has no option 'config'"):
        load("tiny", config={})


def test_a_wrong_value_of_an_option_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="whole number"):
        Tiny.from_options({"seed": "one"})


def test_a_class_or_factory_of_one_s_own_is_loaded_as_module_and_name() -> None:
    assert load("beholder.rewards.tiny:Tiny", seed=3).options() == {"seed": 3}
    assert load("beholder.rewards.tiny:build", seed=3).options() == {"seed": 3}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no.such.module:Class", "cannot load .*; write it as module:Class"),
        ("beholder.rewards.tiny:Tine", "cannot load .*Tine"),
        ("127.0.0.1:8731/tiny", "did you mean http://127.0.0.1:8731/tiny?"),
        ("gpu-1.local:80", "did you mean http://gpu-1.local:80?"),
        ("[::1]:8731/a/mps", r"did you mean http://\[::1\]:8731/a/mps?"),
        ("collections:OrderedDict", "gave a OrderedDict, expected a beholder Reward"),
    ],
)
def test_what_is_no_reward_of_one_s_own_is_refused(name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(name)


def test_a_saved_folder_is_loaded_by_its_path(tmp_path: Path) -> None:
    build(seed=4).save_pretrained(tmp_path / "my:reward")
    for folder in (tmp_path / "my:reward", f"{tmp_path}/my:reward/"):
        reward = load(str(folder))
        assert isinstance(reward, Tiny)
        assert reward.options() == {"seed": 4}
        assert not reward.training


def test_an_unknown_option_of_a_saved_folder_is_named(tmp_path: Path) -> None:
    build().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="tiny has no option 'sed'"):
        load(str(tmp_path), sed=1)


def test_a_folder_without_a_reward_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(BeholderError, match="nor a reward folder"):
        load(str(tmp_path))
    with pytest.raises(WeightsError):
        Reward.from_pretrained(tmp_path)


def test_the_public_names_are_those_of_their_modules() -> None:
    assert beholder.load is load
    assert beholder.names is names
    assert set(dir(beholder)) == set(beholder.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        beholder.lod  # noqa: B018
