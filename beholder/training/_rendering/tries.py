"""What was tried: a line a picture that was drawn, with its seconds, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tries:
    """The pictures of one checkpoint that were tried, in a file that grows.

    Attributes:
        path: of the file; it need not exist yet.
        seconds: picture -> how long it took.
        errors: picture -> why there is none.
    """

    path: Path
    seconds: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in _lines(self.path):
            self._take(line)

    def drawn(self, name: str, seconds: float) -> None:
        """A picture is there."""
        self._write({"picture": name, "seconds": round(seconds, 4)})

    def failed(self, name: str, why: str) -> None:
        """A picture could not be drawn."""
        self._write({"picture": name, "error": why})

    def _write(self, line: Mapping[str, object]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")
        self._take(line)

    def _take(self, line: Mapping[str, object]) -> None:
        name = str(line["picture"])
        self.errors.pop(name, None)
        if "error" in line:
            self.errors[name] = str(line["error"])
        else:
            self.seconds[name] = float(str(line["seconds"]))


def _lines(path: Path) -> Iterator[dict[str, object]]:
    """The lines that are whole: a process that died may have left half of one."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            told = json.loads(line)
        except json.JSONDecodeError:
            continue
        yield told
