"""The command line, run in the test's own process."""

import json

import pytest

from beholder.__main__ import main


class Shell:
    """Runs the command line in this process; keeps what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.out = self.err = ""

    def __call__(self, *words: object) -> int:
        self._monkeypatch.setattr("sys.argv", ["beholder", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        self.out, self.err = self._capsys.readouterr()
        return int(stop.value.code or 0)

    def json(self, *words: object, code: int = 0) -> dict[str, object]:
        assert self(*words, "--json") == code
        loaded: dict[str, object] = json.loads(self.out)
        return loaded
