import json
import os
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.sources._scenes import store
from beholder.annotation.sources._scenes.store import CHUNK, Settings, draw, map_file
from beholder.errors import AnnotationError
from tests.annotation.sources._scenes.material import without_packages, write_photographs


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    without_packages(monkeypatch, tmp_path)
    return Settings(64, 0, write_photographs(tmp_path / "own"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_truth_comes_in_order_and_the_files_lie_beside_it(
    settings: Settings, tmp_path: Path
) -> None:
    scenes = list(draw(tmp_path, "dev", CHUNK + 3, settings))
    assert [scene["index"] for scene in scenes] == list(range(CHUNK + 3))
    for scene in scenes:
        picture = tmp_path / "dev" / scene["picture"]
        assert picture.is_file()
        assert map_file(picture, "implausibility").is_file() == bool(scene["defects"])


def test_what_is_drawn_is_not_drawn_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list(draw(tmp_path, "dev", 5, settings))
    monkeypatch.setattr(store, "make_scene", None)
    assert list(draw(tmp_path, "dev", CHUNK, settings))[:5] == first


def test_what_was_stopped_goes_on_with_the_same_bytes(settings: Settings, tmp_path: Path) -> None:
    list(draw(tmp_path / "whole", "dev", CHUNK, settings))
    list(draw(tmp_path / "stopped", "dev", CHUNK, settings))
    (tmp_path / "stopped/dev/000000.jsonl").unlink()  # as if stopped before the chunk was done
    (tmp_path / "stopped/dev/000007.png").write_bytes(b"half")
    list(draw(tmp_path / "stopped", "dev", CHUNK, settings))
    assert files(tmp_path / "stopped/dev") == files(tmp_path / "whole/dev")


def test_a_stream_that_is_left_draws_no_further(settings: Settings, tmp_path: Path) -> None:
    assert len(list(islice(draw(tmp_path, "dev", 10 * CHUNK, settings), 1))) == 1
    assert len(list((tmp_path / "dev").glob("*.jsonl"))) == 1


@pytest.mark.long
def test_several_processes_draw_what_one_draws(tmp_path: Path) -> None:
    pytest.importorskip("skimage")  # a spawned process sees what is installed
    settings = Settings(64, 0)
    one = list(draw(tmp_path / "one", "dev", 2 * CHUNK, settings))
    two = list(draw(tmp_path / "two", "dev", 2 * CHUNK, settings, processes=2))
    assert one == two
    assert files(tmp_path / "one/dev") == files(tmp_path / "two/dev")


def test_scenes_of_other_settings_or_material_are_not_mixed(
    settings: Settings, tmp_path: Path
) -> None:
    list(draw(tmp_path, "dev", 1, settings))
    with pytest.raises(AnnotationError, match="of another seed; choose another folder"):
        list(draw(tmp_path, "dev", 1, Settings(64, 1, settings.photographs)))
    more = write_photographs(tmp_path / "more", each=3)
    with pytest.raises(AnnotationError, match="of another material"):
        list(draw(tmp_path, "dev", 1, Settings(64, 0, more)))


def test_a_folder_that_cannot_be_made_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AnnotationError, match=r"cannot be drawn into .*file"):
        list(draw(tmp_path / "file", "dev", 1, settings))


def test_a_process_that_dies_is_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> Iterator[None]:
        raise BrokenProcessPool("a process died")

    monkeypatch.setattr(store, "_draw_chunk", dies)
    with pytest.raises(AnnotationError, match="a process died"):
        list(draw(tmp_path, "dev", 1, settings))


def test_the_truth_is_plain_json_one_line_a_scene(settings: Settings, tmp_path: Path) -> None:
    scenes = list(draw(tmp_path, "dev", CHUNK, settings))
    lines = (tmp_path / "dev/000000.jsonl").read_text(encoding="utf-8").splitlines()
    read: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert read == scenes
    assert os.fspath(tmp_path) not in "".join(lines)
