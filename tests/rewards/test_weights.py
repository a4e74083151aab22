import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import beholder
from beholder.errors import ConfigError, WeightsError
from beholder.rewards import Reward, RewardCard
from beholder.rewards import tiny as tiny_module
from beholder.rewards._weights import save_folder, unfilled
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
