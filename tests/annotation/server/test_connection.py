import base64
import json
import logging
import socket
import traceback
from collections.abc import Iterator
from importlib import metadata

import pytest

from beholder.annotation.server import connection as connections
from beholder.annotation.server.connection import Connection, checked_url, connect, token_from_env
from beholder.annotation.server.faults import UnavailableError
from beholder.errors import AnnotationError
from tests.annotation.server.fake import COOKIE, Fake, Reply, fake_server

TOKEN = "0123456789abcdef0123456789abcdef01234567"
DOWN = Reply(status=503, body=b"<html>overloaded</html>")
PAGED = "/api/tasks/"
EXPORT = "/api/projects/3/export"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setattr(connections, "PAUSES_SECONDS", (0.0, 0.0))
    with fake_server() as fake:
        yield fake


@pytest.fixture
def connected(fake: Fake) -> Iterator[Connection]:
    with connect(fake.url, TOKEN, timeout=5) as connection:
        fake.asked.clear()
        yield connection


def page(total: int, *tasks: tuple[int, str]) -> Reply:
    rows = [{"id": number, "data": {"task_key": key}} for number, key in tasks]
    counts = {"total": total, "total_annotations": 0, "total_predictions": 0}
    return Reply(body={"tasks": rows, **counts})


def refused(fake: Fake, token: str = TOKEN) -> AnnotationError:
    with pytest.raises(AnnotationError) as caught:
        connect(fake.url, token, timeout=5)
    shown = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in shown
    assert COOKIE not in shown
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_connection_knows_the_release_and_whose_token_it_is(fake: Fake) -> None:
    with connect(f"{fake.url}/", f" {TOKEN}\n") as connection:
        assert (connection.url, connection.version, connection.user) == (fake.url, "1.23.2", 7)
    assert fake.asked[-1].headers["Authorization"] == f"Token {TOKEN}"
    assert TOKEN not in repr(connection)


def test_a_wrong_token_is_one_line_without_secrets(fake: Fake) -> None:
    fake.on("/api/current-user/whoami", Reply(status=401, body={"detail": "Invalid token."}))
    assert str(refused(fake)) == (
        f"connecting to {fake.url}: the token is refused; give a valid one (401): Invalid token."
    )
    assert len(fake.asked_for("/api/current-user/whoami")) == 1


def test_a_server_that_is_down_is_asked_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnavailableError, match=rf"connecting to {url}: no connection .*up\?$"):
            connect(url, TOKEN)
    assert pauses == [1.0, 3.0]


def test_a_page_or_another_program_is_no_label_studio(fake: Fake) -> None:
    fake.on("/api/version/", Reply(body=b"<html>welcome</html>"))
    assert "a page came" in str(refused(fake))
    fake.on("/api/version/", Reply(body={"name": "something else"}))
    assert "is no Label Studio" in str(refused(fake))


def test_another_release_is_refused_before_the_token_is_used(fake: Fake) -> None:
    fake.on("/api/version/", Reply(body={"release": "2.4.1"}))
    assert f"{fake.url} is Label Studio 2.4.1; expected 1.20 or later, below 2" in str(
        refused(fake)
    )
    assert fake.asked_for("/api/current-user/whoami") == []


def test_another_sdk_is_refused_before_anything_is_sent(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.0.0")
    assert "label-studio-sdk 1.0.0 is installed" in str(refused(fake))
    assert fake.asked == []


def test_a_redirect_is_not_followed(fake: Fake) -> None:
    moved = Reply(status=301, headers={"Location": "https://elsewhere.example/"}, body=b"<html>")
    fake.on("/api/version/", moved)
    assert "it redirects elsewhere (301)" in str(refused(fake))


def test_a_slow_answer_is_no_answer_in_time(fake: Fake) -> None:
    fake.on("/api/version/", Reply(body={}, after_seconds=0.3))
    with pytest.raises(UnavailableError, match="no answer in time"):
        connect(fake.url, TOKEN, timeout=0.05)


@pytest.mark.parametrize("token", ["", "  \n", "two words", "tök", f"{TOKEN}\nX-Other: 1"])
def test_a_token_that_cannot_be_one_is_not_sent(fake: Fake, token: str) -> None:
    assert "the API token" in str(refused(fake, token))
    assert fake.asked == []


def test_a_personal_access_token_is_exchanged_for_a_short_one(fake: Fake) -> None:
    access = jwt(token_type="access")
    fake.on("/api/token/refresh/", Reply(body={"access": access}))
    with (
        pytest.warns(DeprecationWarning, match="parse_obj"),
        connect(  # the SDK's own
            fake.url, jwt(token_type="refresh")
        ),
    ):
        pass
    assert fake.asked[-1].headers["Authorization"] == f"Bearer {access}"


def jwt(**claims: str) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {**claims, "exp": 4_000_000_000})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts]
    return b".".join([*(text.rstrip(b"=") for text in encoded), b"c2ln"]).decode()


def test_an_expired_personal_access_token_is_one_line(fake: Fake) -> None:
    claims = base64.urlsafe_b64encode(b'{"exp":1000000000,"a":1}').decode().rstrip("=")
    expired = f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{claims}.c2ln"
    assert "the token is refused; give a valid one (401): API key has expired" in str(
        refused(fake, expired)
    )


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://localhost:8080", "http://localhost:8080"),
        (" https://label.example/ ", "https://label.example"),
        ("https://example.org/label/studio/", "https://example.org/label/studio"),
        ("HTTP://[::1]:80", "http://[::1]:80"),
    ],
)
def test_the_root_of_an_address(url: str, root: str) -> None:
    assert checked_url(url) == root


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://host", "http://", "", "http://host:port", "http://[::1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(AnnotationError, match="is no server's address; expected http"):
        checked_url(url)


@pytest.mark.parametrize("url", ["http://me:s3cret@host", "http://host/projects?token=s3cret"])
def test_an_address_with_more_than_the_root_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(AnnotationError, match="expected the root address of host") as caught:
        checked_url(url)
    assert "s3cret" not in str(caught.value)


def test_a_token_comes_from_the_named_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LS_TOKEN", f"{TOKEN}\n")
    assert token_from_env("LS_TOKEN") == TOKEN
    for empty in ("", " "):
        monkeypatch.setenv("LS_TOKEN", empty)
        with pytest.raises(AnnotationError, match="environment variable LS_TOKEN is empty"):
            token_from_env("LS_TOKEN")


def test_a_read_goes_on_when_the_server_is_back(fake: Fake, connected: Connection) -> None:
    fake.on("/api/projects/3/", DOWN, Reply(status=429), Reply(body={"id": 3, "title": "pairs"}))
    project = connected.read("reading the project", connected.client.projects.get, 3)
    assert project.title == "pairs"
    assert len(fake.asked) == 3


def test_a_read_gives_up_after_three_tries_and_at_once_if_refused(
    fake: Fake, connected: Connection
) -> None:
    fake.on("/api/projects/3/", DOWN)
    with pytest.raises(UnavailableError, match=rf"reading it at {fake.url}: the server failed"):
        connected.read("reading it", connected.client.projects.get, 3)
    assert len(fake.asked) == 3
    with pytest.raises(AnnotationError, match=r"not found \(404\): a page came"):
        connected.read("reading it", connected.client.projects.get, 4)
    assert len(fake.asked) == 4


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_a_write_is_sent_once_whatever_comes(
    fake: Fake, connected: Connection, status: int
) -> None:
    fake.on("/api/projects/3/import", Reply(status=status, body={"detail": "no"}))
    with pytest.raises(AnnotationError, match="sending tasks at"):
        connected.write(
            "sending tasks", connected.client.projects.import_tasks, id=3, request=[{"data": {}}]
        )
    assert len(fake.asked) == 1


def test_keys_are_listed_page_by_page_with_every_copy(
    fake: Fake, connected: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PAGE", 2)
    fake.on(PAGED, page(5, (1, "a"), (2, "b")), page(5, (3, "a"), (4, "")), page(5, (5, "c")))
    assert connected.known_keys(3) == {"a": [1, 3], "b": [2], "": [4], "c": [5]}
    assert [one.query["page"] for one in fake.asked] == [["1"], ["2"], ["3"]]
    assert fake.asked[0].query["include"] == ["id,data"]


def test_an_empty_project_has_no_keys(fake: Fake, connected: Connection) -> None:
    fake.on(PAGED, page(0))
    assert connected.known_keys(3) == {}


def test_a_list_that_lost_rows_while_it_was_read_is_no_list(
    fake: Fake, connected: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PAGE", 2)
    fake.on(PAGED, page(3, (1, "a"), (2, "b")), page(2))  # 1 was deleted, so 3 moved to page 1
    with pytest.raises(UnavailableError, match="some were deleted meanwhile; try again"):
        connected.known_keys(3)


def test_changes_are_asked_for_by_the_servers_clock(fake: Fake, connected: Connection) -> None:
    fake.on(PAGED, page(2, (9, "b"), (4, "a")))
    assert connected.changed_since(3, "2026-09-01T10:00:00.250000Z") == [4, 9]
    asked = json.loads(fake.asked[0].query["query"][0])
    assert asked["filters"]["items"] == [
        {
            "filter": "filter:tasks:updated_at",
            "operator": "greater",
            "type": "Datetime",
            "value": "2026-09-01T10:00:00.250000Z",
        }
    ]


def test_the_oldest_project_with_the_description_is_found(
    fake: Fake, connected: Connection
) -> None:
    projects = [{"id": 8, "description": "ours"}, {"id": 2, "description": "ours?"}]
    projects += [{"id": 5, "description": "ours"}]
    fake.on("/api/projects/", Reply(body={"count": 3, "results": projects}))
    assert connected.find_project("ours") == 5
    assert connected.find_project("theirs") is None


def test_an_export_gives_tasks_of_all_kinds_of_state(fake: Fake, connected: Connection) -> None:
    fake.on(EXPORT, Reply(body=[{"id": 1}, {"id": 2}]))
    assert list(connected.export(3)) == [{"id": 1}, {"id": 2}]
    assert fake.asked[0].query == {"export_type": ["JSON"], "download_all_tasks": ["true"]}


def test_many_ids_are_asked_for_in_several_requests(
    fake: Fake, connected: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDS", 2)
    fake.on(EXPORT, Reply(body=[{"id": 4}, {"id": 6}]), Reply(body=[{"id": 8}]))
    assert list(connected.export(3, [4, 6, 8])) == [{"id": 4}, {"id": 6}, {"id": 8}]
    assert [one.query["ids[]"] for one in fake.asked] == [["4", "6"], ["8"]]
    assert list(connected.export(3, [])) == []
    assert len(fake.asked) == 2


def test_an_export_is_tried_again_until_it_begins(fake: Fake, connected: Connection) -> None:
    fake.on(EXPORT, DOWN, DOWN, Reply(body=[]))
    assert list(connected.export(3)) == []


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (Reply(body=b'[{"id": 1}, {"id"', missing=100), "the connection broke off"),
        (Reply(body=b'[{"id": 1}, {"id"'), "the export ended early"),
    ],
)
def test_an_export_that_ends_early_is_an_error_after_what_came(
    fake: Fake,
    connected: Connection,
    cut: Reply,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "CHUNK_BYTES", 4)
    fake.on(EXPORT, cut)
    tasks = connected.export(3)
    assert next(tasks) == {"id": 1}
    with pytest.raises(AnnotationError, match=expected):
        next(tasks)
    assert len(fake.asked) == 1


def test_the_invite_link_is_a_whole_address(fake: Fake, connected: Connection) -> None:
    fake.on("/api/invite", DOWN, Reply(body={"invite_url": "/user/signup/?token=abc"}))
    assert connected.invite() == f"{fake.url}/user/signup/?token=abc"
    assert fake.asked[-1].headers["Authorization"] == f"Token {TOKEN}"


def test_files_are_sent_once_as_a_form(fake: Fake, connected: Connection) -> None:
    path, picture = "/api/projects/3/import", ("a.png", b"\x89PNG", "image/png")
    fake.on(path, Reply(body={"file_upload_ids": [1]}))
    form = {"commit_to_project": "false"}
    answer = connected.post_files(path.lstrip("/"), [("file0", picture)], form)
    assert answer == {"file_upload_ids": [1]}
    (asked,) = fake.asked
    assert asked.headers["Authorization"] == f"Token {TOKEN}"
    assert b'name="file0"; filename="a.png"' in asked.body
    assert b'name="commit_to_project"\r\n\r\nfalse' in asked.body
    fake.on(path, DOWN)
    with pytest.raises(UnavailableError, match="sending files at"):
        connected.post_files(path.lstrip("/"), [("file0", picture)], form)
    assert len(fake.asked) == 2


def test_no_log_holds_a_token_or_a_cookie(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    fake.on("/api/projects/3/", Reply(status=400, body={"detail": "no"}))
    caplog.set_level(logging.DEBUG)
    with connect(fake.url, TOKEN) as connection, pytest.raises(AnnotationError):
        connection.read("reading it", connection.client.projects.get, 3)
    assert TOKEN not in caplog.text
    assert COOKIE not in caplog.text


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with connect(fake.url, TOKEN) as connection:
        assert connection.user == 7
