"""Files come in the order of names, folder by folder, also where names are sorted on the disk."""

import os
import random
from pathlib import Path

import pytest

from beholder._inputs.folders import InOrder, any_file, walk


def by_the_library(root: Path) -> list[Path]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder, name) for name in sorted(files) if not name.startswith(".")]
    return found


@pytest.mark.parametrize("in_memory", [1, 2, 7, 1000])
def test_the_order_is_that_of_a_sorted_walk_however_little_is_in_memory(
    tmp_path: Path, in_memory: int
) -> None:
    names = ["b", "a", "Z", "ä", "a\nb", "10", "9", 'q"uote', os.fsdecode(b"\xff"), ".hidden"]
    for folder in ["", "sub", "sub/deep", "a-folder", "zz/y/x", ".git", "empty"]:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in names if folder != "empty" else []:
            (tmp_path / folder / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    found = list(walk(tmp_path, in_memory))
    assert found == by_the_library(tmp_path)
    assert len(found) == 5 * 9 + 1
    assert sorted(any_file(tmp_path)) == sorted(map(str, found))


def test_texts_are_sorted_in_more_parts_than_may_be_open() -> None:
    texts = [str(n) for n in range(1000)]
    random.Random(0).shuffle(texts)
    ordered = InOrder(in_memory=3)
    for text in texts:
        ordered.add(text)
    assert list(ordered) == sorted(texts)


def test_a_folder_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert list(walk(tmp_path / "nowhere")) == []
