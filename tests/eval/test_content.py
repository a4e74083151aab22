"""Equal bytes have one name, different bytes different ones."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from beholder.eval._content import content_of


def test_a_file_and_its_bytes_are_one_content(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"picture" * 10)
    copy = tmp_path / "b.png"
    copy.write_bytes(path.read_bytes())
    assert content_of(path) == content_of(str(copy)) == content_of(path.read_bytes())
    copy.write_bytes(b"another")
    assert content_of(copy) != content_of(path)


def test_arrays_differ_by_values_shape_and_type() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert content_of(values) == content_of(torch.from_numpy(values.copy()).numpy())
    others = [values + 1, values.reshape(1, 4, 3), values.astype(np.float32)]
    assert len({content_of(v) for v in [values, *others]}) == 4


def test_a_folder_of_frames_changes_with_any_frame(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
    before = content_of(tmp_path)
    assert before == content_of(tmp_path)
    (tmp_path / "2.png").write_bytes(b"changed")
    assert content_of(tmp_path) != before


@pytest.mark.parametrize("source", [None, 3, "no such file"])
def test_what_has_no_bytes_has_no_name(source: object) -> None:
    assert content_of(source) is None


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert content_of(tmp_path / "pipe") is None


def test_a_tensor_that_is_being_optimised_has_the_name_of_its_values() -> None:
    values = torch.rand(3, 4, 4)
    name = content_of(values.clone().requires_grad_())
    assert name is not None
    assert name == content_of(values)
