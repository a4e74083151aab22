"""Lines of a shell, as far as they can be read without one."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

_QUOTED = re.compile(r"""'[^']*'|"(?:[^"\\$`]|\\.)*\"""")
WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""")
_COMMENT = re.compile(r"""(?:^|\s)#.*$""")
_SHELL = re.compile(r"[|&;<>$`(){}~]")
_GLOB = re.compile(r"[*?]")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_ENVIRONMENT = ".venv/bin/"
"""Where `make` puts programs; in a test they are found by name."""
_STARTERS = {"-m", "--no-python", "srun", "time", "nohup"}
_SCRIPT = re.compile(r"^\s*(for|while|until|if|case|function|set|trap|\{|\(|#!)|<<", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One line of commands.

    Attributes:
        text: the line, joined with those that it goes on in, without its comment.
        at: its line in the block, from 0.
        words: what a shell would make of it, patterns of files aside; none where one is needed.
        environment: what is set before the words.
        output: the file that its output goes to.
    """

    text: str
    at: int
    words: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    output: str = ""


def commands(text: str) -> list[Command]:
    """The lines of a block; a block with loops, conditions or here documents is one command."""
    named = text.replace(_ENVIRONMENT, "")
    if _SCRIPT.search(named):
        return [Command(named, 0)]
    return [_command(line, at) for line, at in _joined(named) if line]


def beholder_words(line: str) -> list[list[str]]:
    """What follows `beholder` in a line, also behind `accelerate launch … -m` and the like."""
    found = []
    for part in re.finditer(r"[^|;&]+", _masked(line)):
        named = line[slice(*part.span())].replace(_ENVIRONMENT, "")
        words = [shlex.split(word)[0] for word in WORD.findall(named)]
        if (start := _start(words)) is not None:
            found.append(_until_output(words[start + 1 :]))
    return found


def _start(words: list[str]) -> int | None:
    """Where `beholder` stands as the program that is run, also by another one."""
    bare = next((k for k, word in enumerate(words) if not _ASSIGNMENT.fullmatch(word)), 0)
    for at, word in enumerate(words):
        if word == "beholder" and (at == bare or words[at - 1] in _STARTERS):
            return at
    return None


def expanded(words: tuple[str, ...], folder: Path) -> list[str]:
    """The words with patterns of files as their names, as a shell does that stands in `folder`."""
    return [name for word in words for name in _names(word, folder)]


def _joined(text: str) -> list[tuple[str, int]]:
    lines: list[tuple[str, int]] = []
    goes_on = False
    for at, raw in enumerate(text.splitlines()):
        line = without_comment(raw).rstrip()
        ends_open = line.endswith("\\")
        if goes_on:
            before, start = lines.pop()
            lines.append((f"{before} {line.rstrip(chr(92)).strip()}", start))
        else:
            lines.append((line.rstrip("\\").strip(), at))
        goes_on = ends_open
    return lines


def without_comment(line: str) -> str:
    """The line up to a comment; a `#` inside quotes or a word is none."""
    found = _COMMENT.search(_masked(line))
    return line if found is None else line[: found.start()].rstrip()


def _masked(line: str) -> str:
    """The line with what is quoted blanked out, as long as before."""
    return _QUOTED.sub(lambda found: "_" * len(found[0]), line)


def _command(line: str, at: int) -> Command:
    bare, output = re.fullmatch(r"(.*?)(?:\s>\s*([\w./-]+))?", line, re.DOTALL).groups("")  # type: ignore[union-attr]
    if _SHELL.search(_masked(bare)):
        return Command(line, at)
    words = WORD.findall(bare)
    count = next((k for k, word in enumerate(words) if not _ASSIGNMENT.fullmatch(word)), len(words))
    given = (shlex.split(word)[0].partition("=") for word in words[:count])
    environment = {name: value for name, _, value in given}
    return Command(line, at, tuple(words[count:]), environment, output)


def _names(word: str, folder: Path) -> list[str]:
    plain: str = shlex.split(word)[0]
    if not _GLOB.search(_masked(word)):
        return [plain]
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob(plain)) or [plain]


def _until_output(words: list[str]) -> list[str]:
    end = next(
        (k for k, word in enumerate(words) if re.fullmatch(r"\d?>{1,2}.*", word)), len(words)
    )
    return words[:end]
