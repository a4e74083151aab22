"""Faults of published scoring loops: a bad row that spoils others, or that nobody is told of."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from beholder.rewards import load, names
from tests.rewards.test_every_reward import tiny

GOOD = "a red cat"
BAD = {"2 MB of prompt": "a cat " * 350_000, "half a character": "a \ud800 cat"}
SINGLE = [name for name in names() if name not in {"ensemble", "smoothed"}]
"""Those that are not made of others."""


@pytest.mark.parametrize("name", SINGLE)
def test_a_prompt_that_is_none_spoils_no_other_row(name: str) -> None:
    reward = tiny(name)
    pictures = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    found = reward.score(pictures, [GOOD, *BAD.values(), GOOD])
    alone = reward.score(pictures[[0, 3]], GOOD)
    needs_prompt = bool(found.errors)
    assert set(found.errors) == ({1, 2} if needs_prompt else set())
    torch.testing.assert_close(found.total[[0, 3]], alone.total, atol=1e-5, rtol=0)
    assert torch.isnan(found.total[[1, 2]]).all() == needs_prompt
    assert not any("cat" in why.lower() for why in map(str, found.errors.values()))


def test_a_missing_picture_never_has_the_score_of_the_one_before(tmp_path: Path) -> None:
    reward = load("tiny")
    paths = [str(tmp_path / f"{k}.png") for k in range(4)]
    for k in (0, 2, 3):
        Image.new("RGB", (32, 32), (80 * k, 9, 9)).save(paths[k])
    Path(paths[3]).write_bytes(Path(paths[3]).read_bytes()[:60])
    found = reward.score(paths, GOOD)
    assert set(found.errors) == {1, 3}
    assert torch.isnan(found.total[[1, 3]]).all()
    alone = reward.score(paths[2], GOOD)
    torch.testing.assert_close(found.total[2:3], alone.total, atol=1e-6, rtol=0)
