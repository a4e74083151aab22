import json
from pathlib import Path

import pytest

import beholder
from beholder.errors import DataError
from beholder.training._tuning.scales import settle_scales
from beholder.training.fit.processes import Processes
from tests.training._tuning.test_validation import driver, validation

__all__ = ["driver"]


def test_each_ensemble_gets_scales_of_its_own(driver: object, tmp_path: Path) -> None:
    pairs = [{"a": 2, "b": 3}, {"c": 4, "d": 5}]
    both = [
        beholder.load(
            "ensemble", rewards={n: {"reward": "tiny", "seed": s} for n, s in pair.items()}
        )
        for pair in pairs
    ]
    settle_scales(tmp_path, both, validation(driver, tmp_path), Processes(cpu=True))  # type: ignore[arg-type]
    kept = json.loads((tmp_path / "scales.json").read_text())
    assert [set(scales) for scales in kept] == [{"a", "b"}, {"c", "d"}]


def test_a_member_that_tells_no_pictures_apart_is_named(driver: object, tmp_path: Path) -> None:
    flat = beholder.load("tiny")
    flat.heads.weight.data.zero_()  # type: ignore[union-attr, operator]
    ensemble = beholder.load("ensemble", rewards={"flat": flat, "good": "tiny"})
    with pytest.raises(DataError, match="flat"):
        settle_scales(tmp_path, [ensemble], validation(driver, tmp_path), Processes(cpu=True))  # type: ignore[arg-type]
    assert not (tmp_path / "scales.json").exists()
