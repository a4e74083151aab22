import os
import subprocess
from pathlib import Path

import httpx
import pytest

from beholder.annotation.server.connection import connect
from beholder.annotation.server.local import LocalServer, down, status, up
from beholder.errors import AnnotationError
from tests.live.server import PASSWORD, Start, free_port, sign_up, submit

pytestmark = pytest.mark.label_studio


def test_the_server_answers_to_its_token_on_its_own_port(live_server: LocalServer) -> None:
    with connect(live_server.url, live_server.token) as connection:
        assert connection.version == live_server.version == "1.23.2"
        assert connection.user == 1
    assert status(live_server.folder) == live_server == LocalServer.read(live_server.folder)


def test_a_second_up_says_so_and_gives_the_same_server(live_server: LocalServer) -> None:
    said: list[str] = []
    assert up(live_server.folder, port=free_port(), say=said.append) == live_server
    assert said == [f"Label Studio is up in {live_server.folder} already"]


def test_a_wrong_token_is_one_line_that_holds_no_secret(live_server: LocalServer) -> None:
    wrong = "f" * 40
    with pytest.raises(AnnotationError) as caught:
        connect(live_server.url, wrong)
    assert str(caught.value) == (
        f"connecting to {live_server.url}: the token is refused; give a valid one (401): "
        "Invalid token."
    )
    assert caught.value.__suppress_context__


def test_three_people_sign_up_by_the_link_and_nobody_without(
    live_server: LocalServer, people: list[tuple[int, str]]
) -> None:
    assert len({user for user, _ in people} | {1}) == 4
    for user, token in people:
        with connect(live_server.url, token) as connection:
            assert connection.user == user
    with httpx.Client(base_url=live_server.url, follow_redirects=True) as browser:
        browser.get("/user/signup/")
        form = {"email": "mallory@example.com", "password": PASSWORD}
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            submit(browser, "/user/signup/", form)


# The SDK refreshes such a token by a function that pydantic has deprecated.
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
def test_a_personal_access_token_connects_too(live_server: LocalServer) -> None:
    with connect(live_server.url, live_server.token) as connection:
        token = connection.write("making a token", connection.client.tokens.create).token
    with connect(live_server.url, token) as connection:
        assert connection.user == 1
        assert connection.invite().startswith(f"{live_server.url}/user/signup/?token=")


def test_the_secrets_are_in_no_log_and_on_no_command_line(live_server: LocalServer) -> None:
    log = (live_server.folder / "server.log").read_text()
    commands = b"".join(p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists())
    assert str(live_server.port).encode() in commands
    for secret in (live_server.token, live_server.credentials.password):
        assert secret not in log
        assert secret not in (live_server.folder / "server.json").read_text()
        assert secret.encode() not in commands
    kept = (".", "credentials.json", "server.log", "data/label_studio.sqlite3")
    assert {(live_server.folder / name).stat().st_mode & 0o077 for name in kept} == {0}


def test_other_machines_and_other_sites_get_nothing(live_server: LocalServer) -> None:
    table = Path(f"/proc/{live_server.pid}/net/tcp").read_text().splitlines()[1:]
    port, listening = f"{live_server.port:04X}", "0A"
    rows = [row.split() for row in table]
    assert [row[1] for row in rows if row[1].endswith(f":{port}") and row[3] == listening] == [
        f"0100007F:{port}"
    ]
    asked = {"Host": "evil.example"}
    assert httpx.get(f"{live_server.url}/user/login/", headers=asked).status_code == 400
    answer = httpx.get(f"{live_server.url}/health/", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_a_taken_port_is_refused(live_server: LocalServer, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=f"port {live_server.port}: address already in use"):
        up(tmp_path / "other", port=live_server.port)
    assert status(tmp_path / "other") is None


def test_down_leaves_no_process_and_up_finds_the_same_people(start_server: Start) -> None:
    server = start_server()
    user, token = sign_up(server, "kim@example.com")
    assert down(server.folder)
    assert not down(server.folder)
    assert not Path(f"/proc/{server.pid}").exists() or is_zombie(server.pid)
    with pytest.raises(AnnotationError, match="no connection"):
        connect(server.url, server.token)
    again = up(server.folder, port=server.port)
    with connect(again.url, token) as connection:
        assert connection.user == user


def test_a_killed_server_is_down_and_starts_again(start_server: Start) -> None:
    server = start_server()
    os.kill(server.pid, 9)
    subprocess.run(["sleep", "0.5"], check=True)
    assert status(server.folder) is None
    assert up(server.folder, port=server.port).pid != server.pid


def is_zombie(pid: int) -> bool:
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()
