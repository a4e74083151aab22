"""What was computed once is found again, whatever became of the process."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from beholder.eval import _feature_cache
from beholder.eval._feature_cache import FeatureCache
from beholder.eval._origin import Origin

ORIGIN = Origin(extractor="toy", weights="0" * 16, layer="mean", resize="box", decode="alpha=white")


def content(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()


def test_features_are_found_before_and_after_they_are_on_disk(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, ORIGIN)
    for number in range(5):  # 0 to 4 clips
        cache.put(content(number), np.full((number, 3), number))
    for _ in range(2):
        for number in range(5):
            found = cache.get(content(number))
            assert found is not None
            np.testing.assert_array_equal(found, np.full((number, 3), number))
        cache.flush()
        cache = FeatureCache(tmp_path, ORIGIN)
    assert len(cache) == 5
    assert cache.get(content(9)) is None
    told = json.loads(next(tmp_path.rglob("origin.json")).read_text())
    assert Origin.from_dict(told) == ORIGIN


def test_features_of_another_origin_are_not_found(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, ORIGIN)
    cache.put(content(0), np.ones((1, 3)))
    cache.flush()
    other = Origin(**{**ORIGIN.as_dict(), "resize": "clean"})
    assert FeatureCache(tmp_path, other).get(content(0)) is None


def test_two_writers_share_a_folder(tmp_path: Path) -> None:
    first, second = FeatureCache(tmp_path, ORIGIN), FeatureCache(tmp_path, ORIGIN)
    first.put(content(0), np.ones((1, 3)))
    second.put(content(1), np.zeros((1, 3)))
    first.flush()
    second.flush()
    assert len(FeatureCache(tmp_path, ORIGIN)) == 2


def test_a_part_is_written_when_enough_have_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_feature_cache, "PART_ROWS", 2)
    cache = FeatureCache(tmp_path, ORIGIN)
    for number in range(5):
        cache.put(content(number), np.full((1, 3), number))
    assert len(FeatureCache(tmp_path, ORIGIN)) == 4  # as after a kill


def test_a_damaged_part_is_left_aside(tmp_path: Path) -> None:
    for number in range(2):
        cache = FeatureCache(tmp_path, ORIGIN)
        cache.put(content(number), np.full((1, 3), number))
        cache.flush()
    broken = min(tmp_path.rglob("part-*"))
    broken.write_bytes(broken.read_bytes()[:40])
    (tmp_path / ORIGIN.digest / "part-half.partial").write_bytes(b"half")
    assert len(FeatureCache(tmp_path, ORIGIN)) == 1
