"""The verb demo: its mistakes are told at once."""

import importlib.util
import socket

import pytest

from tests.shell import Shell


@pytest.fixture(autouse=True)
def without_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEHOLDER_TOKEN", raising=False)


def test_a_demo_without_rewards_says_how_to_name_one(shell: Shell) -> None:
    assert shell("demo") == 2
    assert "name at least one reward" in shell.err


def test_others_see_nothing_without_a_token(shell: Shell) -> None:
    assert shell("demo", "-r", "tiny", "--host", "0.0.0.0") == 2
    assert "token" in shell.err
    assert shell.err.count("\n") == 1


def test_an_address_that_is_taken_is_told_before_any_weight_is_loaded(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert shell("demo", "-r", "tiny", "--port", port) == 1
    assert f"cannot listen at 127.0.0.1 port {port}" in shell.err
    assert "--port" in shell.err
    assert "loading" not in shell.err


def test_what_is_missing_is_named_with_the_line_that_installs_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert shell("demo", "-r", "tiny") == 1
    assert 'pip install "beholder[demo]"' in shell.err
