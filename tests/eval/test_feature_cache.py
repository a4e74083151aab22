"""What was computed once is found again, whatever became of the process."""

import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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
    (cache.folder / "part-half.partial").write_bytes(b"half")
    assert len(FeatureCache(tmp_path, ORIGIN)) == 1


@pytest.mark.parametrize("where", ["contents", "values"])
def test_a_flipped_bit_leaves_a_part_aside(
    tmp_path: Path, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = FeatureCache(tmp_path, ORIGIN)
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    cache.put(content(0), values)
    cache.flush()
    (part,) = tmp_path.rglob("part-*")
    whole = part.read_bytes()
    at = whole.index(content(0) if where == "contents" else values.tobytes()) + 5
    part.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with caplog.at_level("WARNING"):
        assert len(FeatureCache(tmp_path, ORIGIN)) == 0
    assert f"{part} is damaged and left aside: checksum" in caplog.text


def test_another_format_forgets_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path, ORIGIN)
    cache.put(content(0), np.ones((1, 3)))
    cache.flush()
    monkeypatch.setattr(_feature_cache, "FORMAT", "next")
    assert FeatureCache(tmp_path, ORIGIN).get(content(0)) is None


class _Watched(dict[bytes, Any]):
    """Calls back as soon as a key is in it, as another thread could."""

    def __init__(self, seen: Callable[[bytes], object]) -> None:
        super().__init__()
        self._seen = seen

    def __setitem__(self, key: bytes, value: Any) -> None:
        super().__setitem__(key, value)
        self._seen(key)


def test_a_row_of_a_part_can_be_read_as_soon_as_it_is_known(tmp_path: Path) -> None:
    first, second = FeatureCache(tmp_path, ORIGIN), FeatureCache(tmp_path, ORIGIN)
    first.put(content(0), np.ones((1, 3)))
    first.flush()
    found: list[Any] = []
    second._where = _Watched(lambda key: found.append(second.get(key)))
    second._open(next(tmp_path.rglob("part-*")))
    np.testing.assert_array_equal(found, np.ones((1, 1, 3)))


class _Written(dict[bytes, Any]):
    """Is written to disk by another thread right after each look at it."""

    flush: Callable[[], None]

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self.flush()
        return found

    def get(self, key: bytes, default: Any = None) -> Any:
        found = super().get(key, default)
        self.flush()
        return found


def test_features_that_are_written_while_they_are_looked_up_are_found(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, ORIGIN)
    fresh = _Written({content(0): np.ones((1, 3))})
    fresh.flush = cache.flush
    cache._fresh = fresh
    for _ in range(2):
        np.testing.assert_array_equal(cache.get(content(0)), np.ones((1, 3)))
    assert not fresh


def test_features_are_never_out_of_sight_while_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path, ORIGIN)
    seen = []

    def looking(act: Callable[..., Any]) -> Callable[..., Any]:
        def looked(*args: Any, **named: Any) -> Any:
            seen.append(cache.get(content(0)))
            return act(*args, **named)

        return looked

    for name in ("save_file", "safe_open"):
        monkeypatch.setattr(_feature_cache, name, looking(getattr(_feature_cache, name)))
    cache.put(content(0), np.ones((1, 3)))
    cache.flush()
    seen.append(cache.get(content(0)))
    np.testing.assert_array_equal(seen, np.ones((3, 1, 3)))


def test_readers_in_threads_find_everything_that_was_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_feature_cache, "PART_ROWS", 2)
    cache = FeatureCache(tmp_path, ORIGIN)
    put: list[bytes] = []
    is_done = threading.Event()

    def reads() -> int:
        missed = 0
        while not is_done.is_set():
            missed += sum(cache.get(each) is None for each in list(put))
        return missed

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(reads) for _ in range(3)]
        for number in range(40):
            cache.put(content(number), np.full((1, 3), number))
            put.append(content(number))
        is_done.set()
    assert [reader.result() for reader in readers] == [0, 0, 0]


def test_a_part_that_cannot_be_read_back_stays_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(arrays: dict[str, Any], path: Path, **_: Any) -> None:
        path.write_bytes(b"half")

    cache = FeatureCache(tmp_path, ORIGIN)
    cache.put(content(0), np.ones((1, 3)))
    with monkeypatch.context() as patched:
        patched.setattr(_feature_cache, "save_file", half)
        cache.flush()
    np.testing.assert_array_equal(cache.get(content(0)), np.ones((1, 3)))
    cache.flush()
    assert len(FeatureCache(tmp_path, ORIGIN)) == 1
