"""Where a token comes from, and where it must not be seen."""

import pickle
from pathlib import Path

import pytest

from beholder.errors import ConfigError
from beholder.rewards._remote.credentials import VARIABLE, Credentials

TOKEN = "abcdefgh-12345678"


def test_what_is_given_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Credentials().read() == ""
    monkeypatch.setenv(VARIABLE, f" {TOKEN}\n")
    assert Credentials().read() == TOKEN
    (tmp_path / "token").write_text("from-a-file\n")
    assert Credentials(file=tmp_path / "token").read() == "from-a-file"
    assert Credentials("given").read() == "given"


def test_two_tokens_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave one of them out"):
        Credentials("given", tmp_path / "token")


@pytest.mark.parametrize(
    "contents", [b"", b" \n", b"\xff\xfe", b"two\nlines", b"a b", b"caf\xc3\xa9"]
)
def test_a_file_without_one_token_is_refused(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "token").write_bytes(contents)
    with pytest.raises(ConfigError, match="token") as caught:
        Credentials(file=tmp_path / "token").read()
    words = contents.decode("latin-1").split()
    assert not any(len(word) > 1 and word in str(caught.value) for word in words)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: No such file"):
        Credentials(file=tmp_path / "nowhere").read()


def test_a_token_is_not_shown_and_one_of_the_environment_does_not_travel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert TOKEN not in repr(Credentials(TOKEN))
    assert TOKEN.encode() not in pickle.dumps(Credentials())
    with pytest.raises(ConfigError) as caught:
        Credentials(f"{TOKEN}\r\nX-Evil: 1").read()
    assert TOKEN not in str(caught.value)
