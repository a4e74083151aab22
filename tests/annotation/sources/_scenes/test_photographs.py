from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beholder.annotation.sources._scenes.photographs import Photograph, background, photographs
from beholder.annotation.sources._scenes.splits import SPLITS
from beholder.errors import MissingDependencyError
from tests.annotation.sources._scenes.material import without_packages, write_photographs


def test_a_folder_of_the_user_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_packages(monkeypatch, tmp_path)
    found = photographs(write_photographs(tmp_path / "own"))
    assert len(found) == 6
    assert {p.split for p in found} == set(SPLITS)


def test_without_photographs_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_packages(monkeypatch, tmp_path)
    with pytest.raises(MissingDependencyError, match=r"beholder\[quickstart\]"):
        photographs(tmp_path / "none")


def test_the_packages_give_every_split_some(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    found = photographs(tmp_path / "nothing-more")
    assert all(sum(p.split == split for p in found) >= 3 for split in SPLITS)
    assert {p.name: p.setting for p in found}["brick.png"] == "in front of a brick wall"


def test_a_background_is_a_square_part_mirrored_or_not(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(160, dtype=np.uint8)[:, None], (120, 160, 3))
    Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "ramp.png")
    photograph = Photograph(str(tmp_path / "ramp.png"))
    slopes = []
    for seed in range(12):
        part = background(photograph, 64, np.random.default_rng(seed))
        assert part.size == (64, 64)
        row = np.asarray(part)[32, :, 0].astype(float)
        slopes.append((row[48] - row[16]) / 32)
    assert {slope > 0 for slope in slopes} == {True, False}
    assert all(1 - 0.1 < abs(slope) < 120 / 64 + 0.1 for slope in slopes)  # never enlarged
