import json
import math
from collections.abc import Callable
from typing import NoReturn

import pytest

from beholder import _terminal as terminal
from beholder.errors import ConfigError, DataError


def raiser(error: BaseException) -> Callable[..., NoReturn]:
    def command(**_: object) -> NoReturn:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("bad\nrow\x1b[2J"), 1, "error: bad row [2J\n"),
        (ConfigError("unknown key"), 2, "error: unknown key\n"),
        (FileNotFoundError(2, "no such file"), 1, "error: [Errno 2] no such file\n"),
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on where it stopped\n"),
        (SystemExit(130), 130, "interrupted; the same command goes on where it stopped\n"),
        (SystemExit(3), 3, ""),
    ],
)
def test_an_expected_error_is_one_line_and_a_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        terminal.run(raiser(error))
    assert stop.value.code == code
    assert capsys.readouterr().err == text


def test_debug_shows_the_error_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(terminal.DEBUG, "1")
    with pytest.raises(DataError):
        terminal.run(raiser(DataError("bad")))


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.emit({"a": math.nan, "b": [1.5, math.inf], "c": "é"})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, None], "c": "é"}


def test_a_table_aligns_text_left_and_numbers_right() -> None:
    assert terminal.table([["fine", 0.5], ["rough", 12.25]], ["model", "score"]) == (
        "model   score\n-----  ------\nfine    0.500\nrough  12.250"
    )


def test_a_reward_is_named_by_its_column() -> None:
    assert terminal.split_spec("mps") == ("mps", "mps")
    assert terminal.split_spec("runs/my-reward") == ("my_reward", "runs/my-reward")
    assert terminal.split_spec("mine=runs/a=b") == ("mine", "runs/a=b")
    assert terminal.split_spec("package.module:Mine") == ("Mine", "package.module:Mine")
    for address in ("http://127.0.0.1:8000/mps", "https://rewards.example.org/mps"):
        assert terminal.split_spec(address) == ("mps", address)
    assert terminal.split_spec("http://10.0.0.1:8000/") == ("remote", "http://10.0.0.1:8000")


def test_settings_reach_their_reward_with_types() -> None:
    assert terminal.split_settings(["mps.threshold=0.01", "mps.scope=batch"], ["mps"]) == {
        "mps": {"threshold": 0.01, "scope": "batch"}
    }
    with pytest.raises(ConfigError, match=r"reward\.option=value"):
        terminal.split_settings(["threshold=1"], ["mps"])
    with pytest.raises(ConfigError, match="'hps', but the rewards are mps"):
        terminal.split_settings(["hps.x=1"], ["mps"])


def test_a_token_is_no_argument() -> None:
    with pytest.raises(ConfigError, match=r"mps\.token_file=FILE") as refused:
        terminal.split_settings(["mps.token=secret"], ["mps"])
    assert "secret" not in str(refused.value)


def test_two_rewards_may_not_share_columns() -> None:
    with pytest.raises(ConfigError, match="share the columns 'tiny'"):
        terminal.named_rewards(["tiny", "tiny"], [], None)


def test_no_text_of_a_stranger_is_obeyed_by_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = "a\x1b[2J\x1b]0;x\x07\x9b31m\r\u202eb\ud800\tc\nd קפה 🧑\u200d🚀"
    terminal.say(text)
    terminal.note(text)
    said = capsys.readouterr()
    shown = "a\\x1b[2J\\x1b]0;x\\x07\\x9b31m\\r\\u202eb\\ud800\tc\nd קפה 🧑\u200d🚀\n"
    assert said.out == said.err == shown
    terminal.emit({"key": text})
    emitted = capsys.readouterr().out
    assert json.loads(emitted) == {"key": text}
    assert not set(emitted) & set("\x1b\x07\x9b\r\u202e\ud800")
