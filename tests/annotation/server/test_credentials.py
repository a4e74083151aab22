import json
import stat
from pathlib import Path

import pytest

from beholder.annotation.server.credentials import make_credentials, read_credentials
from beholder.errors import AnnotationError


def test_secrets_are_drawn_once_and_kept(tmp_path: Path) -> None:
    drawn = make_credentials(tmp_path)
    assert make_credentials(tmp_path) == read_credentials(tmp_path) == drawn
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.json"]


def test_no_two_servers_share_a_secret(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    one, other = map(make_credentials, folders)
    assert one.token != other.token
    assert one.password != other.password
    assert len(one.token) == 40  # what Label Studio takes
    assert int(one.token, 16) > 0


def test_only_the_user_can_read_them_and_no_text_shows_them(tmp_path: Path) -> None:
    drawn = make_credentials(tmp_path)
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600
    assert drawn.token not in repr(drawn)
    assert drawn.password not in repr(drawn)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    make_credentials(tmp_path)
    (tmp_path / "credentials.json").chmod(0o644)
    with pytest.raises(AnnotationError, match=r"others can read .*; chmod 600 it"):
        read_credentials(tmp_path)


def test_what_a_killed_start_left_is_drawn_again(tmp_path: Path) -> None:
    (tmp_path / "credentials.json.partial").write_text('{"email": "own')
    assert make_credentials(tmp_path).email == "owner@localhost"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"email": "a", "token": "t"}'])
def test_a_damaged_file_is_named_and_not_quoted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(AnnotationError, match=r"credentials.json is damaged") as caught:
        read_credentials(tmp_path)
    assert caught.value.__suppress_context__


def test_a_folder_without_them_is_no_servers(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"holds no credentials\.json"):
        read_credentials(tmp_path)


def test_the_file_is_plain_json_for_other_programs(tmp_path: Path) -> None:
    drawn = make_credentials(tmp_path)
    kept = json.loads((tmp_path / "credentials.json").read_text())
    assert kept == {"email": drawn.email, "password": drawn.password, "token": drawn.token}
