"""Folders of fetched copies go with their process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from beholder import _fetched
from beholder._fetched import fetched_folder, sweep

KILLED = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from beholder._fetched import fetched_folder
folder, _ = fetched_folder()
(folder / "a.tar").write_bytes(b"x" * 1000)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
def test_the_copies_of_a_killed_process_are_taken_away_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    assert (left / "a.tar").stat().st_size == 1000
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine, forget = fetched_folder()
    assert list(tmp_path.iterdir()) == [mine]
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [mine], "who lives keeps his"
    forget()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    held, tries = _fetched._held, []

    def late(folder: Path) -> int | None:
        tries.append(folder)
        if len(tries) == 1:
            folder.rmdir()
        return held(folder)

    monkeypatch.setattr(_fetched, "_held", late)
    folder, forget = fetched_folder()
    assert len(tries) == 2
    assert folder.is_dir()
    assert os.listdir(tmp_path) == [folder.name]  # noqa: PTH208
    forget()
