"""Runs a page from top to bottom in one folder, as a reader does who types what it says."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.blocks import COMMANDS, DATA, PROGRAMS, Block
from tests.docs.checking import block_faults
from tests.docs.commands import Command, commands, expanded
from tests.docs.verbs import run_verb
from tests.docs.worlds import Place, paths
from tests.serving.running import Running, running

SECONDS = 240
"""For one command of a shell."""

LOOKED_UP = {"pip", "make", "git"}
"""Programs that change the machine or fetch: their words are checked, they do not run."""

_SERVER = re.compile(r"(\w+=\S+ )*beholder (serve|demo)\b(?!.*--help)")
"""Verbs that run until they are told to end."""

_SHIM = '#!/bin/sh\nexec "{python}" -m beholder "$@"\n'
_LOCAL = r"(?:127\.0\.0\.1|localhost|gpu-box)"
_TAIL = 3000  # characters of what a failed command said
_EXPORT = re.compile(r"export (\w+)=(\S*)")


class PageError(AssertionError):
    """A block that does not do what its page says."""


@dataclass
class Page:
    """A page while it runs.

    Attributes:
        place: its folder, and what is changed for it.
        ports: the port that a page names -> the one on which its server listens.
        closing: what ends with the page, such as servers.
    """

    place: Place
    ports: dict[str, str] = field(default_factory=dict)
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def run(self, block: Block) -> None:
        """Do what the page says of the block; PageError says which block failed and how."""
        if wrong := block.fault():
            raise PageError(f"{block.place}: {wrong}")
        if block.way == "file":
            path = self.place.folder / block.said
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if block.way != "run" or block.language in DATA:
            if faults := block_faults(block):
                raise PageError(f"{block.place}: {'; '.join(faults)}")
        elif block.language in PROGRAMS:
            self._program(block)
        elif block.language in COMMANDS:
            self._commands(block)

    def _program(self, block: Block) -> None:
        text = "\n" * (block.line - 1) + self._reached(block.text)
        exec(compile(text, block.page, "exec"), self.place.names)

    def _commands(self, block: Block) -> None:
        lines = commands(block.text)
        for number, command in enumerate(lines, 1):
            wanted = block.leaves if number == len(lines) else 0
            code, said = self._command(command)
            if code != wanted:
                where = f"{block.page}:{block.line + command.at}"
                raise PageError(
                    f"{where}: left with {code}, not {wanted}: {command.text}\n{said[-_TAIL:]}"
                )

    def _command(self, command: Command) -> tuple[int, str]:
        words = expanded(command.words, self.place.folder)
        if words[:1] == ["cd"]:
            os.chdir(words[1])
            return 0, ""
        if exported := _EXPORT.fullmatch(command.text):
            self.place.patch.setenv(*exported.groups())
            return 0, ""
        if words[:1] and words[0] in LOOKED_UP:
            return 0, ""
        if _SERVER.match(command.text):
            return self._serve(command.text)
        if words[:1] == ["beholder"]:
            return self._verb(command, [self._reached(word) for word in words[1:]])
        return self._shell(self._reached(command.text))

    def _verb(self, command: Command, words: Sequence[str]) -> tuple[int, str]:
        said = run_verb(words, command.environment)
        if command.output:
            Path(command.output).write_text(said.out, encoding="utf-8")
        return said.code, said.out + said.err

    def _shell(self, text: str) -> tuple[int, str]:
        script = f"set -e -o pipefail\n{text}"
        done = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env=self.environment(),
        )
        return done.returncode, done.stdout + done.stderr

    def environment(self) -> dict[str, str]:
        """Of the processes that the page starts: `beholder` and its Python come first."""
        bin_folder = self.place.folder.parent / "bin"
        if not bin_folder.exists():
            bin_folder.mkdir()
            shim = bin_folder / "beholder"
            shim.write_text(_SHIM.format(python=sys.executable), encoding="utf-8")
            shim.chmod(0o755)
        path = os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent)])
        given = {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": paths()}
        return {**os.environ, **given}

    def _serve(self, text: str) -> tuple[int, str]:
        """A server that listens until the page ends, on a port that is free."""
        words = text.rstrip("& ").partition("beholder serve ")[2].split()
        if not words:
            raise PageError(f"no way to run {text!r} beside the page; comment it as checked")
        port = "8000"
        if "--port" in words:
            at = words.index("--port")
            port, words = words[at + 1], [*words[:at], *words[at + 2 :]]
        server = self.closing.enter_context(running(*words, env=self.environment()))
        self.ports[port] = server.address.rpartition(":")[2]
        self.closing.callback(_stop, server)
        return 0, ""

    def _reached(self, text: str) -> str:
        """The text with the addresses of the page's servers as those on which they listen."""
        for port, real in self.ports.items():
            text = re.sub(rf"{_LOCAL}:{port}\b", f"127.0.0.1:{real}", text)
        return text


def _stop(server: Running) -> None:
    code = server.stop()
    if code:
        raise PageError(f"the server left with {code}:\n{''.join(server.said)[-_TAIL:]}")


@contextlib.contextmanager
def opened(place: Place) -> Iterator[Page]:
    """A page in its folder; at its end what it started is ended."""
    place.patch.chdir(place.folder)
    place.patch.syspath_prepend(str(place.folder))
    place.patch.setenv("HF_HUB_OFFLINE", "1")
    before = set(sys.modules)
    page = Page(place)
    try:
        with page.closing:
            yield page
    finally:
        _forget_modules(place.folder, before)


def _forget_modules(folder: Path, before: set[str]) -> None:
    """Modules that a page wrote are no one else's."""
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None) or ""
        if origin.startswith(str(folder)):
            del sys.modules[name]
