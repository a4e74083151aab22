import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.server import local, process
from beholder.annotation.server.local import LocalServer, down, status, up
from beholder.errors import AnnotationError
from tests.annotation.server.programs import BROKEN, SILENT, label_studio


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return label_studio(tmp_path / "environment")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "server"
    down(tmp_path / "server")


@pytest.fixture
def server(folder: Path, program: Path) -> LocalServer:
    return up(folder, port=free_port(), executable=program)


def seen(folder: Path) -> dict[str, Any]:
    """What the program was started with."""
    told: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return told


def test_up_starts_one_that_answers_and_down_stops_it(folder: Path, program: Path) -> None:
    said: list[str] = []
    port = free_port()
    server = up(folder, port=port, executable=program, say=said.append)
    assert said == [
        f"starting Label Studio 1.23.2 in {folder}; "
        "the first start prepares its database, which takes minutes"
    ]
    assert (server.url, server.port, server.version) == (f"http://127.0.0.1:{port}", port, "1.23.2")
    assert server.files == folder / "files"
    assert status(folder) == LocalServer.read(folder) == server
    assert down(folder)
    assert not down(folder)
    assert status(folder) is None
    assert not (folder / "server.json").exists()
    process.check_port(port)


def test_a_second_up_gives_the_same_server(server: LocalServer, program: Path) -> None:
    said: list[str] = []
    assert up(server.folder, port=free_port(), executable=program, say=said.append) == server
    assert said == [f"Label Studio is up in {server.folder} already"]


def test_a_later_start_keeps_the_token_and_says_no_more_of_the_database(
    server: LocalServer, program: Path
) -> None:
    token = server.token
    (server.folder / "data" / "label_studio.sqlite3").touch()
    down(server.folder)
    said: list[str] = []
    again = up(server.folder, port=server.port, executable=program, say=said.append)
    assert said == [f"starting Label Studio 1.23.2 in {server.folder}"]
    assert again.token == token


def test_secrets_go_by_environment_and_never_by_command_line(server: LocalServer) -> None:
    told = seen(server.folder)
    owner = server.credentials
    assert told["env"]["LABEL_STUDIO_USERNAME"] == owner.email
    assert told["env"]["LABEL_STUDIO_PASSWORD"] == owner.password
    assert told["env"]["LABEL_STUDIO_USER_TOKEN"] == owner.token
    assert told["argv"][1:] == [
        *("start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(server.port))
    ]
    assert owner.token not in repr(server)
    assert owner.token not in (server.folder / "server.json").read_text()


def test_it_is_private_sends_nothing_and_lives_in_its_folder(server: LocalServer) -> None:
    told = seen(server.folder)
    wanted = {
        "BASE_DATA_DIR": str(server.folder / "data"),
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(server.files),
        "ENABLE_LEGACY_API_TOKEN": "true",
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "CORS_ALLOW_ALL_ORIGINS": "false",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "SSRF_PROTECTION_ENABLED": "true",
        "ML_BLOCK_LOCAL_IP": "true",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "TASK_LOCK_TTL": "3600",
        "DJANGO_DB": "sqlite",
    }
    assert {name: told["env"].get(f"LABEL_STUDIO_{name}") for name in wanted} == wanted
    assert told["cwd"] == str(server.folder)
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


def test_it_asks_models_of_this_machine_only_if_it_is_told_so(folder: Path, program: Path) -> None:
    up(folder, port=free_port(), executable=program, local_models=True)
    told = seen(folder)["env"]
    assert told["LABEL_STUDIO_ML_BLOCK_LOCAL_IP"] == "false"
    assert told["LABEL_STUDIO_SSRF_PROTECTION_ENABLED"] == "false"


def test_our_own_environment_cannot_change_its_settings(
    folder: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DEBUG", "HOST", "POSTGRE_HOST", "LABEL_STUDIO_DEBUG", "HEARTEX_DEBUG"):
        monkeypatch.setenv(name, "1")
    up(folder, port=free_port(), executable=program)
    assert not {"DEBUG", "HOST", "POSTGRE_HOST", "LABEL_STUDIO_DEBUG", "HEARTEX_DEBUG"} & set(
        seen(folder)["env"]
    )


def test_a_taken_port_is_refused_before_anything_starts(folder: Path, program: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(AnnotationError, match="address already in use; give another"):
            up(folder, port=listener.getsockname()[1], executable=program)
    assert not (folder / "seen.json").exists()
    assert status(folder) is None


def test_a_program_that_takes_the_next_port_is_stopped(folder: Path, tmp_path: Path) -> None:
    program = label_studio(tmp_path / "environment", step=1)
    with pytest.raises(AnnotationError, match="was taken meanwhile"):
        up(folder, port=free_port(), executable=program)
    assert status(folder) is None


def test_a_program_that_ends_shows_its_last_line(folder: Path, tmp_path: Path) -> None:
    program = label_studio(tmp_path / "environment", BROKEN)
    with pytest.raises(
        AnnotationError, match=r"ended as it started: OperationalError: disk full \(.*server\.log\)"
    ):
        up(folder, port=free_port(), executable=program)
    assert status(folder) is None


def test_a_program_that_stays_silent_is_stopped(folder: Path, tmp_path: Path) -> None:
    program = label_studio(tmp_path / "environment", SILENT)
    with pytest.raises(AnnotationError, match="did not answer within 1 s: migrating"):
        up(folder, port=free_port(), executable=program, wait_seconds=0.6)
    assert status(folder) is None


def test_one_that_is_slow_is_said_to_be_waited_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TOLD_EVERY", 0.1)
    program = label_studio(tmp_path / "environment", SILENT)
    said: list[str] = []
    with pytest.raises(AnnotationError, match="did not answer"):
        up(folder, port=free_port(), executable=program, wait_seconds=0.9, say=said.append)
    waited = [line for line in said if line.startswith("waiting for it, ")]
    assert 2 <= len(waited) <= 9
    assert waited[0] == f"waiting for it, 0 s; {folder / 'server.log'} has what it says"


def test_a_killed_server_is_down_and_starts_again(server: LocalServer, program: Path) -> None:
    os.kill(server.pid, signal.SIGKILL)
    while process.is_held(server.folder / "server.lock"):
        time.sleep(0.01)
    assert (server.folder / "server.json").exists()
    assert status(server.folder) is None
    assert not down(server.folder)
    again = up(server.folder, port=server.port, executable=program)
    assert again.pid != server.pid
    assert status(server.folder) == again


def test_a_foreign_process_with_the_old_number_is_never_killed(
    server: LocalServer, program: Path
) -> None:
    record = server.folder / "server.json"
    kept = json.loads(record.read_text())
    down(server.folder)
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        record.write_text(json.dumps(kept | {"pid": other.pid}))
        assert status(server.folder) is None
        assert not down(server.folder)
        assert other.poll() is None
        other.kill()


def test_a_copied_folder_is_a_server_of_its_own(server: LocalServer, program: Path) -> None:
    copy = server.folder.with_name("copy")
    shutil.copytree(server.folder, copy)
    assert status(copy) is None
    other = up(copy, port=free_port(), executable=program)
    assert other.pid != server.pid
    assert seen(copy)["env"]["LABEL_STUDIO_BASE_DATA_DIR"] == str(copy / "data")
    assert down(copy)
    assert status(server.folder) == server


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path, program: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(AnnotationError, match=r"holds 'thesis\.tex' and no server"):
        up(tmp_path / "mine", port=free_port(), executable=program)
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o755
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_an_empty_folder_becomes_private(folder: Path, program: Path) -> None:
    folder.mkdir(mode=0o755)
    up(folder, port=free_port(), executable=program)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_another_release_is_refused_before_anything_starts(folder: Path, tmp_path: Path) -> None:
    program = label_studio(tmp_path / "environment", release="1.24.0")
    with pytest.raises(AnnotationError, match=r"is Label Studio 1\.24\.0; expected 1\.23\.x"):
        up(folder, port=free_port(), executable=program)
    assert not (folder / "data").exists()


def test_two_ups_at_once_do_not_start_two(
    folder: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "RECORD_SECONDS", 0.1)
    folder.mkdir()
    with (
        process.holding(folder / "server.lock"),
        pytest.raises(AnnotationError, match="another `annotate up` is at work"),
    ):
        up(folder, port=free_port(), executable=program)
    assert not (folder / "seen.json").exists()


def test_reading_where_none_is_up_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=rf"start it: beholder annotate up {tmp_path}"):
        LocalServer.read(tmp_path)
    assert list(tmp_path.iterdir()) == []
