"""Pieces of Markdown that read the same on the site and on a page of a repository."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}


def shown(text: object) -> str:
    """Text of a card as it is, on one line: no markup, no cell of a table, no element."""
    line = " ".join(str(text).split())
    plain = re.sub(r"[&<>|]", lambda found: _MARKUP[found.group()], line)
    return re.sub(r"([\\`*_\[\]])", r"\\\1", plain)


def code(text: object) -> str:
    """Text as code on one line; an en dash if there is none. A bar in it divides no cells."""
    line = " ".join(str(text).split())
    mark = "``" if "`" in line else "`"
    return f"{mark}{line}{mark}" if line else "\N{EN DASH}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def facts(told: Mapping[str, str]) -> str:
    """A table of two columns without titles; what is empty is left out."""
    return table(["", ""], [[name, text] for name, text in told.items() if text])


def items(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def fenced(text: str, language: str) -> str:
    """A block of code; its fence is longer than any in it."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def page(title: str, *parts: str) -> str:
    """A page of a title and its parts; empty ones are left out."""
    return "\n\n".join([f"# {title}", *filter(None, parts)]) + "\n"
