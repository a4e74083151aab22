"""The fenced blocks of a page, and what the page says of each in a comment that nobody sees.

A comment alone on the line before a fence says how the block is treated, as in
``<!-- checked: needs a GPU -->``; without one it runs. The first lines of a page may name the
worlds that it runs in: ``<!-- world: pictures published -->``.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
WAYS = {"run", "file", "checked", "live", "shown"}
"""What a comment before a fence may begin with."""

COMMANDS = {"", "bash", "sh"}
PROGRAMS = {"python", "py"}
DATA = {"yaml", "json", "toml"}
TEXT = {"text"}
PUBLISHED = {"docs/design.md", "CHANGELOG.md"}
"""Pages whose blocks are plans and history; their links are checked with those of all pages."""

_FENCE = re.compile(r"^(?P<indent>[ ]*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
_COMMENT = re.compile(r"^\s*<!--\s*(?P<way>[a-z]+)\s*:\s*(?P<rest>.*?)\s*-->\s*$")
_WORLD = re.compile(r"<!--\s*world:\s*(?P<names>[\w \-]+?)\s*-->")
_HEAD = 6  # lines in which a page may name its worlds


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: relative to the repository.
        line: of its first line of text, from 1.
        language: what stands behind the fence.
        text: without the indentation of its fence.
        way: one of `WAYS`; "run" where nothing is said.
        said: what the comment says after its colon: a reason, the name of a file, "leaves 3".
    """

    page: str
    line: int
    language: str
    text: str
    way: str = "run"
    said: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def leaves(self) -> int:
        """The exit code that the last command of the block has to leave with."""
        return int(self.said.removeprefix("leaves ")) if self.said else 0

    def fault(self) -> str:
        """What is wrong with the fence and its comment; nothing if all is well."""
        if self.language not in COMMANDS | PROGRAMS | DATA | TEXT:
            return f"no way to treat {self.language!r}; write bash, python, yaml, json or text"
        if self.way == "run":
            known = not self.said or re.fullmatch(r"leaves \d+", self.said)
            return "" if known else f"expected 'leaves CODE', got {self.said!r}"
        if self.way not in WAYS:
            return f"<!-- {self.way}: … --> means nothing; known: {', '.join(sorted(WAYS))}"
        return "" if self.said else f"<!-- {self.way}: --> needs a reason or a name"


def pages() -> list[str]:
    """All pages whose blocks are run or checked, relative to the repository."""
    found = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    names = [path.relative_to(ROOT).as_posix() for path in found]
    return [name for name in names if name not in PUBLISHED]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def worlds(text: str) -> list[str]:
    """The worlds that a page names at its top, in order."""
    head = "\n".join(text.splitlines()[:_HEAD])
    return [name for found in _WORLD.finditer(head) for name in found["names"].split()]


def blocks(page: str, text: str) -> list[Block]:
    """The fenced blocks of a page from top to bottom. A fence that is never closed is an error."""
    lines, found, at = text.splitlines(), [], 0
    while at < len(lines):
        opened = _FENCE.match(lines[at])
        if opened is None:
            at += 1
            continue
        end = _end(lines, at, opened["fence"], page)
        way, said = _said(lines[at - 1] if at else "")
        inside = _undented(lines[at + 1 : end], len(opened["indent"]))
        found.append(Block(page, at + 2, opened["info"].strip(), inside, way, said))
        at = end + 1
    return found


def _end(lines: list[str], start: int, fence: str, page: str) -> int:
    for at in range(start + 1, len(lines)):
        closing = lines[at].strip()
        if closing.startswith(fence) and not closing.strip(fence[0]):
            return at
    raise ValueError(f"{page}:{start + 1}: this fence is never closed")


def _said(line: str) -> tuple[str, str]:
    found = _COMMENT.match(line)
    return (
        ("run", "") if found is None or found["way"] == "world" else (found["way"], found["rest"])
    )


def _undented(lines: list[str], indent: int) -> str:
    cut = [line[indent:] if not line[:indent].strip() else line for line in lines]
    return dedent("\n".join(cut)) + "\n"
