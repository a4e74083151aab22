import json
import logging
from pathlib import Path

import pytest
import torch

from beholder.errors import DataError
from beholder.training.fit.checkpoints import (
    Checkpoint,
    read_checkpoint,
    read_newest,
    read_newest_state,
    read_state,
    write_checkpoint,
    write_text,
)


def checkpoint(step: int) -> Checkpoint:
    weights = {"a": torch.full((3,), step / 7), "b/c": torch.arange(4)}
    return Checkpoint(step, weights, {"best": 0.1 + step, "stopped": False})


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_what_was_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(3), keep=2)
    again = read_newest(tmp_path)
    assert again is not None
    assert again.step == 3
    assert again.state == checkpoint(3).state
    assert all(torch.equal(again.tensors[k], v) for k, v in checkpoint(3).tensors.items())


def test_nothing_written_is_nothing_to_read(tmp_path: Path) -> None:
    assert read_newest(tmp_path / "never-made") is None


def test_the_newest_n_are_kept(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        write_checkpoint(tmp_path, checkpoint(step), keep=2)
    assert names(tmp_path) == ["step-00000010", "step-00000100"]


def test_tied_weights_are_written_once_each(tmp_path: Path) -> None:
    shared = torch.ones(2)
    write_checkpoint(tmp_path, Checkpoint(1, {"a": shared, "b": shared}, {}), keep=1)
    again = read_newest(tmp_path)
    assert again is not None
    assert set(again.tensors) == {"a", "b"}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "complete.json"])
@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object, file: str
) -> None:
    for step in (1, 2):
        write_checkpoint(tmp_path, checkpoint(step), keep=2)
    assert callable(damage)
    damage(tmp_path / "step-00000002" / file)
    with pytest.raises(DataError, match="step-00000002"):
        read_checkpoint(tmp_path / "step-00000002")
    with caplog.at_level(logging.WARNING):
        again = read_newest(tmp_path)
    assert again is not None
    assert again.step == 1
    assert "refused a damaged checkpoint" in caplog.text
    assert "step-00000002" in caplog.text


def test_the_state_is_read_and_checked_without_the_tensors(tmp_path: Path) -> None:
    paths = [write_checkpoint(tmp_path, checkpoint(step), keep=2) for step in (1, 2)]
    flip(paths[1] / "tensors.safetensors")
    found = read_state(paths[1])
    assert (found.step, found.tensors, found.state) == (2, {}, checkpoint(2).state)
    assert read_newest_state(tmp_path) == found
    (paths[1] / "tensors.safetensors").unlink()
    with pytest.raises(DataError, match="not a whole checkpoint"):
        read_state(paths[1])
    assert read_newest_state(tmp_path) == read_state(paths[0])
    assert read_newest_state(tmp_path / "never-made") is None


@pytest.mark.parametrize("file", ["state.json", "complete.json"])
@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_a_damaged_state_is_refused(tmp_path: Path, damage: object, file: str) -> None:
    path = write_checkpoint(tmp_path, checkpoint(1), keep=1)
    assert callable(damage)
    damage(path / file)
    with pytest.raises(DataError, match="step-00000001"):
        read_state(path)
    assert read_newest_state(tmp_path) is None


def test_a_checkpoint_that_was_never_finished_is_not_seen_and_is_cleared_away(
    tmp_path: Path,
) -> None:
    write_checkpoint(tmp_path, checkpoint(1), keep=2)
    unfinished = tmp_path / ".step-00000002.partial"
    unfinished.mkdir()
    (unfinished / "tensors.safetensors").write_bytes(b"half")
    again = read_newest(tmp_path)
    assert again is not None
    assert again.step == 1
    write_checkpoint(tmp_path, checkpoint(2), keep=2)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]


def test_a_step_written_again_replaces_its_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(1), keep=2)
    path = write_checkpoint(tmp_path, Checkpoint(1, {}, {"other": 1}), keep=2)
    assert read_checkpoint(path).state == {"other": 1}
    assert names(tmp_path) == ["step-00000001"]


def test_a_text_is_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", json.dumps({"a": 1}))
    write_text(tmp_path / "a.json", json.dumps({"a": 2}))
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 2}
    assert names(tmp_path) == ["a.json"]
