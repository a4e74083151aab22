"""Nobody but this machine is heard without a token, and a token is never shown."""

import logging
from pathlib import Path

import pytest

from beholder.errors import ConfigError
from beholder.serving.access import access_of, is_loopback
from beholder.serving.settings import Access

TOKEN = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEHOLDER_TOKEN", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)


def secret(folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
    file = folder / "token"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def of(
    host: str = "127.0.0.1",
    file: Path | None = None,
    urls: tuple[str, ...] = (),
    label_studio: str = "",
) -> Access:
    return access_of(host, 8000, file, urls, label_studio)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.2"])
def test_this_machine_needs_no_token(host: str) -> None:
    access = of(host)
    assert access == Access(host=host.strip("[]"))
    assert is_loopback(access.host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.2", "reward.example.org", "2001:db8::1"]
)
def test_others_need_a_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--token-file"):
        of(host)
    monkeypatch.setenv("BEHOLDER_TOKEN", TOKEN)
    assert of(host).token == TOKEN


@pytest.mark.parametrize("host", ["", "127.0.0.1:8000", "http://0.0.0.0", "127.1", "0", "a b", "*"])
def test_a_host_that_could_mean_another_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="--host"):
        of(host)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_one(port: int) -> None:
    with pytest.raises(ConfigError, match="--port"):
        access_of("127.0.0.1", port, None, (), "")


def test_the_file_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BEHOLDER_TOKEN", "b" * 20)
    assert of(file=secret(tmp_path, f"  {TOKEN}\n")).token == TOKEN
    assert not caplog.records


def test_a_file_that_others_can_read_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert of(file=secret(tmp_path, TOKEN, 0o644)).token == TOKEN
    assert "chmod 600" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "short",
        "a" * 15,
        "a" * 5000,
        "two words of twenty",
        "tökentökentökentöken",
        b"\xff" * 20,
        "a\x00" * 10,
    ],
)
def test_a_token_that_is_weak_or_cannot_be_sent_is_refused_unquoted(
    text: str | bytes, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        of(file=secret(tmp_path, text))
    shown = text.decode("latin1") if isinstance(text, bytes) else text
    assert not shown.strip() or shown.strip() not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no token can be read"):
        of(file=tmp_path / "none")
    with pytest.raises(ConfigError, match="no token can be read"):
        of(file=tmp_path)


@pytest.mark.parametrize("said", ["", " ", "short"])
def test_a_variable_that_was_left_empty_opens_nothing(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEHOLDER_TOKEN", said)
    with pytest.raises(ConfigError, match="BEHOLDER_TOKEN"):
        of()


def test_hosts_are_kept_in_one_spelling() -> None:
    said = (
        "CDN.Example.org",
        "*.example.org:8443",
        "münchen.de",
        "[2606:2800:21F::1]:81",
        "a.example:80",
    )
    expected = (
        "cdn.example.org",
        "*.example.org:8443",
        "xn--mnchen-3ya.de",
        "[2606:2800:21f::1]:81",
        "a.example:80",
    )
    assert of(urls=said).urls == expected


@pytest.mark.parametrize(
    "said",
    [
        "",
        "*",
        "*.com",
        "*.1.2.3.4",
        "a.*",
        "a/b",
        "http://a.example",
        "me@a.example",
        "127.1",
        "a.example:0",
        "a.example:99999",
        "a b",
        "::1",
        "a?b",
        "a#b",
    ],
)
def test_an_entry_that_is_no_host_or_nearly_all_of_them_is_refused(said: str) -> None:
    with pytest.raises(ConfigError, match="--allow-urls"):
        of(urls=(said,))


@pytest.mark.parametrize(
    "said",
    [
        *["127.0.0.1:8799", "localhost", "LOCALHOST.:80", "10.0.0.5", "192.168.1.2:8080"],
        *["169.254.169.254", "[::1]", "[fd00::1]:80", "[::ffff:127.0.0.1]", "0.0.0.0"],
    ],
)
def test_a_host_that_is_never_fetched_from_is_refused_at_the_start(said: str) -> None:
    with pytest.raises(ConfigError, match=r"private networks are never fetched.*--label-studio"):
        of(urls=("cdn.example.org", said))


def test_label_studio_comes_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="LABEL_STUDIO_API_KEY"):
        of(label_studio="http://127.0.0.1:8080/")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "key\n")
    access = of(label_studio="http://127.0.0.1:8080/sub/")
    assert (access.label_studio, access.label_studio_token) == ("http://127.0.0.1:8080/sub", "key")


def test_its_token_is_not_asked_for_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "key")
    assert of().label_studio_token == ""


@pytest.mark.parametrize(
    "said",
    [
        "ls.example",
        "ftp://ls.example",
        "http://me:secret@ls.example",
        "http://ls.example?x",
        "http://127.1",
    ],
)
def test_an_address_of_label_studio_is_a_root_without_log_in(said: str) -> None:
    with pytest.raises(ConfigError, match="--label-studio") as caught:
        of(label_studio=said)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "is_warned"),
    [
        ("http://studio.example", True),
        ("https://studio.example", False),
        ("http://127.0.0.1:8080", False),
        ("http://localhost:8080", False),
    ],
)
def test_a_token_that_would_travel_in_the_clear_is_warned_about(
    said: str,
    is_warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "key-of-label-studio")
    of(label_studio=said)
    assert ("https" in caplog.text) == is_warned
    assert "key-of" not in caplog.text
