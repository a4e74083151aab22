import json
from pathlib import Path

import torch

import beholder
from tests.rewards.tinies.mps import tiny
from tests.rewards.tiny_towers import CONFIG
from tests.shell import Shell


def test_the_catalogue_lists_every_reward(shell: Shell) -> None:
    assert shell("rewards") == 0
    listed = [line.split(" ")[0] for line in shell.out.splitlines()[2:]]
    assert listed == beholder.names()
    assert shell("rewards", "--json") == 0
    assert [card["name"] for card in json.loads(shell.out)] == beholder.names()
    assert shell("rewards", "--markdown") == 0
    assert shell.out.startswith("# The rewards")


def test_one_reward_shows_its_card(shell: Shell) -> None:
    assert shell("rewards", "mps") == 0
    assert "CVPR 2024" in shell.out
    assert shell("rewards", "mqs") == 2
    assert "did you mean 'mps'" in shell.err


def test_a_published_file_becomes_a_folder_that_loads(shell: Shell, tmp_path: Path) -> None:
    reward = tiny()
    state = {k.removeprefix("towers."): v for k, v in reward.state_dict().items()}
    torch.save(state, tmp_path / "mps.pth")
    config = json.dumps(CONFIG)
    code = shell(
        *("convert", tmp_path / "mps.pth", "-o", tmp_path / "mps", "--set", f"config={config}")
    )
    assert code == 0, shell.err
    assert f"mps, {len(state)} keys: {len(state)} kept" in shell.out
    pixels = torch.rand(2, 3, 40, 40)
    loaded = beholder.load(str(tmp_path / "mps"))
    assert torch.equal(loaded.score(pixels, "a cat").total, reward.score(pixels, "a cat").total)
    assert shell("convert", tmp_path / "mps.pth", "-o", tmp_path / "x", "--set", "speed=1") == 2
    assert "speed" in shell.err
    assert shell("convert", tmp_path / "none.pth", "-o", tmp_path / "x") == 1
    assert "there is no weights file" in shell.err
