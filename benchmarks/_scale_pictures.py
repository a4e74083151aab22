"""Small JPEG files in tar archives, each with its own key and prompt, and all of them different."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from benchmarks._pictures import jpeg

DISTINCT = 200
"""Pictures that are encoded; the others are these with a number in a comment, so no two are one."""


def write_tars(folder: Path, pictures: int, each: int, side: int) -> Path:
    """A folder of archives of `each` pictures, one `.jpg` and one `.txt` for every key."""
    folder.mkdir(parents=True)
    files = [jpeg(side, k) for k in range(min(DISTINCT, pictures))]
    for first in range(0, pictures, each):
        keys = range(first, min(first + each, pictures))
        with tarfile.open(folder / f"{first // each:05d}.tar", "w") as tar:
            for key in keys:
                _add(tar, f"{key:08d}.jpg", _numbered(files[key % len(files)], key))
                _add(tar, f"{key:08d}.txt", f"a picture of thing {key}, seen at dusk".encode())
    return folder


def _numbered(file: bytes, number: int) -> bytes:
    """The same picture with a comment segment after its start marker."""
    comment = str(number).encode()
    return file[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + file[2:]


def _add(tar: tarfile.TarFile, name: str, contents: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(contents)
    tar.addfile(member, io.BytesIO(contents))
