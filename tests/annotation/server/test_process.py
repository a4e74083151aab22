import os
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beholder.annotation.server import process
from beholder.annotation.server.process import check_port, holding, is_held, start, stop
from beholder.errors import AnnotationError, ConfigError

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(60)"
ASKED_OVER_AND_OVER = 200


def started(folder: Path, *command: str, **env: str) -> int:
    with holding(folder / "lock") as lock:
        assert lock is not None
        return start(command, cwd=folder, env=env, log=folder / "log", lock=lock)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[int]:
    pid = started(tmp_path, "/bin/sleep", "60")
    yield pid
    if is_held(tmp_path / "lock"):
        stop(pid, tmp_path / "lock")


def test_a_program_holds_its_lock_until_it_is_stopped(tmp_path: Path, sleeper: int) -> None:
    lock = tmp_path / "lock"
    assert is_held(lock)
    with holding(lock) as descriptor:
        assert descriptor is None
    stop(sleeper, lock)
    assert not is_held(lock)


def test_a_killed_program_leaves_nothing_held(tmp_path: Path, sleeper: int) -> None:
    os.kill(sleeper, signal.SIGKILL)
    for _ in range(ASKED_OVER_AND_OVER):
        if not is_held(tmp_path / "lock"):
            return
        time.sleep(0.01)
    pytest.fail("the lock is held by nobody")


def test_a_copy_of_the_folder_holds_nothing(tmp_path: Path, sleeper: int) -> None:
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))
    assert is_held(tmp_path / "lock")
    assert not is_held(tmp_path.with_name("copy") / "lock")


def test_a_moved_folder_still_holds(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    pid = started(tmp_path / "old", "/bin/sleep", "60")
    (tmp_path / "old").rename(tmp_path / "new")
    assert is_held(tmp_path / "new" / "lock")
    stop(pid, tmp_path / "new" / "lock")


def test_a_folder_without_a_lock_is_free_and_stays_empty(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


def test_a_program_is_in_a_session_of_its_own(tmp_path: Path, sleeper: int) -> None:
    assert os.getsid(sleeper) not in {os.getsid(0), os.getpid()}


def test_a_program_says_into_a_private_log_and_sees_only_its_environment(tmp_path: Path) -> None:
    pid = started(tmp_path, "/usr/bin/env", GREETING="hello")
    assert pid > 0
    while is_held(tmp_path / "lock"):
        time.sleep(0.01)
    said = (tmp_path / "log").read_text().splitlines()
    assert "GREETING=hello" in said
    assert not [line for line in said if line.startswith("HOME=")]
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_deaf_program_is_killed_after_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", ((signal.SIGTERM, 0.2), (signal.SIGKILL, 10.0)))
    pid = started(tmp_path, sys.executable, "-u", "-I", "-S", "-c", STUBBORN)
    while "deaf" not in (tmp_path / "log").read_text():
        time.sleep(0.01)
    before = time.monotonic()
    stop(pid, tmp_path / "lock")
    assert time.monotonic() - before >= 0.2
    assert not is_held(tmp_path / "lock")


def test_what_cannot_be_ended_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", ((0, 0.1),))  # signal 0 asks nothing
    with (
        holding(tmp_path / "lock"),
        pytest.raises(AnnotationError, match=rf"{os.getpid()} does not end"),
    ):
        stop(os.getpid(), tmp_path / "lock")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_refused_and_a_free_one_is_not(address: str) -> None:
    with socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(AnnotationError, match=rf"port {port}: address already in use"):
            check_port(port)
    check_port(port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_is_a_usage_error(port: int) -> None:
    with pytest.raises(ConfigError, match="expected 1 to 65535"):
        check_port(port)
