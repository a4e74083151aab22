import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import beholder
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._convert import REPORT, convert, recognising
from tests.rewards import tiny_towers
from tests.rewards.tinies.mps import tiny


def published() -> dict[str, Tensor]:
    """A tiny checkpoint of MPS as it was published: half precision, positions among its keys."""
    state = {k.removeprefix("towers."): v.half() for k, v in tiny().state_dict().items()}
    state["model.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    lean = {k: v for k, v in state.items() if not k.endswith("inv_freq")}
    return {f"module.{key}": value for key, value in lean.items()}


def saved(folder: Path, state: dict[str, Tensor]) -> Path:
    torch.save(state, folder / "published.pth")
    return folder / "published.pth"


def test_every_key_is_accounted_for(tmp_path: Path) -> None:
    state = published()
    path = saved(tmp_path, state)
    done = convert(path, tmp_path / "mps", config=tiny_towers.CONFIG)
    assert done.reward == "mps"
    assert [key.key for key in done.keys] == list(state)
    assert done.fates == {"cast": len(state) - 1, "not needed": 1}
    written = load_file(tmp_path / "mps" / "model.safetensors")
    named = {key.name for key in done.keys if key.name is not None}
    assert named | set(done.own) == set(written)
    assert all(name.endswith("inv_freq") for name in done.own)
    for key in done.keys:
        if key.name is not None:
            assert torch.equal(written[key.name], state[key.key].float())
    report = json.loads((tmp_path / "mps" / REPORT).read_text())
    assert report["fates"] == done.fates
    assert len(report["keys"]) == len(state)


def test_the_folder_scores_as_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path, published())
    convert(path, tmp_path / "mps", "mps", config=tiny_towers.CONFIG, threshold=0.01)
    pixels = torch.rand(2, 3, 40, 40)
    given = beholder.load("mps", weights=path, config=tiny_towers.CONFIG, threshold=0.01)
    loaded = beholder.load(str(tmp_path / "mps"))
    assert torch.equal(loaded.score(pixels, "a").total, given.score(pixels, "a").total)


def test_a_file_that_nobody_knows_is_refused_by_its_keys(tmp_path: Path) -> None:
    path = saved(tmp_path, {"conv.weight": torch.ones(1), "conv.bias": torch.ones(1)})
    with pytest.raises(WeightsError, match=r"2 tensors \(conv\.weight, conv\.bias, …\): no reward"):
        convert(path, tmp_path / "x")
    with pytest.raises(WeightsError, match="missing"):
        convert(path, tmp_path / "x", "mps", config=tiny_towers.CONFIG)
    assert not (tmp_path / "x").exists()


def test_wrong_names_and_full_folders_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, published())
    with pytest.raises(ConfigError, match="no reward named 'mqs'"):
        convert(path, tmp_path / "x", "mqs")
    with pytest.raises(ConfigError, match="tiny has no published file"):
        convert(path, tmp_path / "x", "tiny")
    with pytest.raises(ConfigError, match="not empty"):
        convert(path, tmp_path, config=tiny_towers.CONFIG)
    with pytest.raises(ConfigError, match="weights is no option"):
        convert(path, tmp_path / "x", weights="other.pth")
    convert(path, tmp_path / "x", config=tiny_towers.CONFIG)
    with pytest.raises(ConfigError, match="not empty"):
        convert(path, tmp_path / "x", config=tiny_towers.CONFIG)
    (tmp_path / "x" / "config.json").unlink()  # as if it had been cut short
    convert(path, tmp_path / "x", config=tiny_towers.CONFIG)
    assert beholder.load(str(tmp_path / "x")).card.name == "mps"


def test_a_file_of_another_reward_says_whose_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path, published())
    with pytest.raises(WeightsError, match="is a file of mps, not of pickscore"):
        beholder.load("pickscore", weights=path, config=tiny_towers.CLIP)


def test_each_tiny_model_in_its_published_format_is_known_as_itself_alone() -> None:
    from importlib import import_module

    for name in beholder.names():
        module = import_module(f"tests.rewards.tinies.{name}")
        if hasattr(module, "published_state"):
            assert recognising(module.published_state(module.tiny())) == [name]
    assert recognising(published()) == ["mps"]
