"""Folders of pictures that are the frames of a video, in the order of their numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from beholder.errors import VideoError
from beholder.inputs import is_picture


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder as frames, by the numbers in their names: 2 comes before 10.

    Raises VideoError "unreadable", "empty" if there is none, and "gap" if one is missing or there
    twice.
    """
    try:
        files = sorted(filter(is_picture, folder.iterdir()), key=lambda path: natural(path.name))
    except OSError as error:
        raise VideoError("unreadable", f"cannot be listed ({type(error).__name__})") from error
    if not files:
        raise VideoError("empty", "a folder without pictures, expected the frames of a video")
    _check_numbers(files)
    return files


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key to sort names by, in which numbers count as such: frame_2 before frame_10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p], name


def _check_numbers(files: Sequence[Path]) -> None:
    """Refuse frames that are numbered with unequal steps: one is missing, or there twice."""
    found = [re.search(r"(\d+)\D*$", path.stem) for path in files]
    numbers = [int(match[1]) for match in found if match]
    if len(numbers) < max(2, len(files)):
        return
    steps = [after - before for before, after in pairwise(numbers)]
    step = min(steps)
    odd = next((at for at, each in enumerate(steps) if each != step or each < 1), None)
    if odd is not None:
        raise VideoError(
            "gap",
            f"its frames are not numbered evenly at {files[odd].name} and {files[odd + 1].name}; "
            "a frame is missing or there twice",
        )
