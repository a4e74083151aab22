import hashlib
import json
import pickle
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import beholder
from beholder.errors import ConfigError, WeightsError
from beholder.rewards import Reward, RewardCard
from beholder.rewards import tiny as tiny_module
from beholder.rewards._weights import (
    load_exact,
    read_state,
    save_folder,
    unfilled,
)
from beholder.rewards.tiny import Tiny
from beholder.types import Scores


class Bright(Reward):
    """A reward of one's own: brightness, with tied weights and a vocabulary beside them."""

    card = RewardCard(name="bright", paper="none", needs_prompt=False)

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain = nn.Linear(size, size, bias=False)
        self.tied = nn.Linear(size, size, bias=False)
        self.tied.weight = self.gain.weight
        self.words = Vocabulary()

    def preprocess(self, pixels: Tensor) -> Tensor:
        return pixels / (255 if pixels.dtype == torch.uint8 else 1)

    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        return Scores(pixel_values.mean((1, 2, 3)) * self.gain.weight[0, 0])

    def options(self) -> dict[str, object]:
        return {"size": self.gain.in_features}

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> "Bright":
        if set(options) - {"size"}:
            raise ConfigError("unknown option")
        return cls(int(str(options["size"])))


class Vocabulary(nn.Module):
    """Stands for a tokenizer that has to travel with the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def get_extra_state(self) -> Tensor:
        return torch.tensor(list(self.text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        self.text = bytes(state.tolist()).decode()


def test_safetensors_and_torch_files_are_told_apart_by_their_content(tmp_path: Path) -> None:
    state = {"a.b": torch.randn(2, 3), "c": torch.arange(3)}
    save_file(state, tmp_path / "one.bin")
    torch.save(state, tmp_path / "two.safetensors")
    torch.save(state, tmp_path / "three", _use_new_zipfile_serialization=False)
    for name in ("one.bin", "two.safetensors", "three"):
        found = read_state(tmp_path / name)
        assert set(found) == set(state)
        assert all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>", "looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"GIF89a\x00\x00\x00", "neither a safetensors nor a torch file"),
        (b"\xff" * 7 + b"\x00{" + b"x" * 50, "not an intact safetensors file"),
        (pickle.dumps({"a": 1}, 2), "not an intact file of torch.save"),
        (b"PK\x03\x04" + b"\x00" * 60, "not an intact file of torch.save"),
    ],
)
def test_a_file_that_holds_no_weights_says_what_it_is(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=reason):
        read_state(tmp_path / "w.pt")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pt", tmp_path):
        with pytest.raises(WeightsError, match="there is no weights file"):
            read_state(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_that_are_not_finite_are_refused_by_name(
    value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    bad = torch.ones(3, 3, dtype=dtype)
    bad[1, 2] = value
    state = {"fine": torch.ones(2), "empty": torch.ones(0), "int": torch.arange(2), "bad.w": bad}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"NaN or infinite weights: bad\.w$"):
        read_state(tmp_path / "w.safetensors")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("kind", ["safetensors", "zip", "old", "checkpoint"])
def test_changed_bytes_give_weights_or_a_weights_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "w"
    layer = nn.Linear(2, 3)
    if kind == "safetensors":
        save_file(layer.state_dict(), path)
    else:
        saved = {"model": layer.state_dict(), "rest": {1, 2}} if kind == "checkpoint" else layer
        torch.save(saved, path, _use_new_zipfile_serialization=kind != "old")
    whole = path.read_bytes()
    chance = random.Random(kind)
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(chance.choice([1, 2, 5])):
            at = chance.randrange(len(changed))
            changed[at : at + chance.randint(0, 2)] = chance.randbytes(1)
        path.write_bytes(changed)
        try:
            assert read_state(path)
        except WeightsError as error:
            assert str(path) in str(error)


def test_large_finite_half_precision_weights_are_accepted(tmp_path: Path) -> None:
    save_file({"a": torch.full((100,), 60_000.0, dtype=torch.float16)}, tmp_path / "w")
    assert read_state(tmp_path / "w")["a"].sum(dtype=torch.float32) == 6_000_000


def test_weights_that_fit_are_copied_and_cast() -> None:
    layer = nn.Linear(2, 3)
    state = {"weight": torch.full((3, 2), 1.5, dtype=torch.float16), "bias": torch.zeros(3)}
    load_exact(layer, state, where="w.pt")
    assert layer.weight.dtype == torch.float32
    assert layer.weight.tolist() == [[1.5, 1.5]] * 3


def test_every_kind_of_misfit_is_named_and_nothing_is_copied() -> None:
    layer = nn.Linear(2, 3)
    before = layer.weight.clone()
    state = {"weight": torch.ones(3, 2), "bias": torch.ones(4), "extra": torch.ones(1)}
    with pytest.raises(WeightsError) as caught:
        load_exact(layer, state, where="w.pt")
    assert str(caught.value) == (
        "w.pt does not fit Linear: 1 unexpected: extra; 1 misshapen: bias (4,) instead of (3,)"
    )
    assert torch.equal(layer.weight, before)
    with pytest.raises(WeightsError, match=r"does not fit Linear: 2 missing: weight, bias$"):
        load_exact(layer, {}, where="w.pt")


def test_a_long_list_of_misfits_ends_in_a_count() -> None:
    state = {f"w{k}": torch.ones(1) for k in range(11)}
    expected = "11 unexpected: w0, w1, w2, w3, w4, w5, w6, w7 and 3 more"
    with pytest.raises(WeightsError, match=expected):
        load_exact(nn.Identity(), state, where="w.pt")


def test_ignored_names_may_be_on_either_side() -> None:
    layer = nn.Linear(2, 3)
    bias = layer.bias.detach().clone()
    state = {"weight": torch.ones(3, 2), "a.position_ids": torch.ones(1)}
    load_exact(layer, state, ignore=["*.position_ids", "bias"], where="w.pt")
    assert torch.equal(layer.bias, bias)
    assert layer.weight.sum() == 6


def test_a_saved_folder_holds_config_and_weights_alone(tmp_path: Path) -> None:
    Tiny.from_options({"seed": 3}).save_pretrained(tmp_path / "a" / "b")
    folder = tmp_path / "a" / "b"
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert json.loads((folder / "config.json").read_text()) == {
        "beholder": beholder.__version__,
        "reward": "tiny",
        "options": {"seed": 3},
        "sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
    }


def test_saving_over_a_folder_replaces_it_and_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for seed in (1, 2):
        tiny_module.build(seed=seed).save_pretrained(tmp_path)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"config.json", "model.safetensors", "notes.txt"}
    assert beholder.load(str(tmp_path)).options() == {"seed": 2}


@pytest.mark.parametrize("renames", [0, 1])
def test_a_save_cut_short_leaves_the_old_reward_or_a_refused_folder(
    renames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_module.build(seed=1).save_pretrained(tmp_path)
    left = [renames]
    rename = Path.replace

    def crash(path: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as context:
        context.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            tiny_module.build(seed=2).save_pretrained(tmp_path)
    if renames == 0:
        assert beholder.load(str(tmp_path)).options() == {"seed": 1}
    else:
        with pytest.raises(WeightsError, match="damaged or was changed"):
            beholder.load(str(tmp_path))
    tiny_module.build(seed=2).save_pretrained(tmp_path)
    assert beholder.load(str(tmp_path)).options() == {"seed": 2}


def test_a_folder_that_cannot_be_written_is_a_weights_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot save the reward"):
        tiny_module.build().save_pretrained(tmp_path / "file")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    tiny_module.build().save_pretrained(tmp_path)
    content = bytearray((tmp_path / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="damaged or was changed: its sha256 is"):
        beholder.load(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reward": "nobody"}, "unknown reward 'nobody'"),
        ({"reward": "_base"}, "unknown reward '_base'"),
        ({"reward": "os:system"}, re.escape("holds a os:system, and a folder does not choose")),
        ({"reward": 7}, "does not name a reward"),
        ({"options": [1]}, "lacks the options"),
        ({"sha256": None}, "lacks the options or the sha256"),
        ({"sha256": "0" * 64}, "damaged or was changed"),
    ],
)
def test_a_config_that_is_none_of_a_reward_is_refused(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    tiny_module.build().save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(WeightsError, match=reason):
        beholder.load(str(tmp_path))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_half_a_folder_is_refused(missing: str, tmp_path: Path) -> None:
    tiny_module.build().save_pretrained(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(WeightsError, match=f"not hold a whole saved reward.*{missing}"):
        Reward.from_pretrained(tmp_path)


def test_config_text_that_is_no_json_is_refused(tmp_path: Path) -> None:
    tiny_module.build().save_pretrained(tmp_path)
    for content in (b"{", b"\xff\xfe", b"[]"):
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(WeightsError):
            Reward.from_pretrained(tmp_path)


def test_an_override_replaces_a_saved_option_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    tiny_module.build(seed=1).save_pretrained(tmp_path)
    reward = Reward.from_pretrained(tmp_path, seed=2)
    assert reward.options() == {"seed": 2}
    assert torch.equal(reward.state_dict()["heads.weight"], tiny_module.build(seed=1).heads.weight)
    with pytest.raises(ConfigError, match="no option 'sed'"):
        Reward.from_pretrained(tmp_path, sed=2)


def test_a_reward_of_one_s_own_round_trips_through_its_class_only(tmp_path: Path) -> None:
    reward = Bright(2)
    reward.words.text = "a cat, кот"
    reward.train()
    reward.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["reward"] == f"{__name__}:Bright"
    with pytest.raises(WeightsError, match=r"call Bright\.from_pretrained\("):
        beholder.load(str(tmp_path))
    again = Bright.from_pretrained(tmp_path)
    assert isinstance(again, Bright)
    assert not again.training
    assert again.words.text == "a cat, кот"
    assert torch.equal(again.gain.weight, reward.gain.weight)


def test_tied_weights_are_saved_under_both_names_and_stay_tied(tmp_path: Path) -> None:
    save_folder(Bright(2), tmp_path)
    assert {"gain.weight", "tied.weight"} <= set(load_file(tmp_path / "model.safetensors"))
    again = Bright.from_pretrained(tmp_path)
    assert isinstance(again, Bright)
    assert again.tied.weight is again.gain.weight


def test_a_concrete_class_is_used_whatever_the_folder_names(tmp_path: Path) -> None:
    tiny_module.build().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="unknown option"):
        Bright.from_pretrained(tmp_path)


def test_an_unfilled_module_draws_no_random_numbers() -> None:
    state = torch.get_rng_state()
    with unfilled():
        nn.Linear(30, 30)
    assert torch.equal(torch.get_rng_state(), state)
    with unfilled(when=False):
        nn.Linear(30, 30)
    assert not torch.equal(torch.get_rng_state(), state)
