"""Links of pages: read and moved without touching what stands in code."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_SPAN = re.compile(r"(`+)(?:(?!`).|(?!\1)`)*?\1(?!`)")
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^()\s]+)(?P<after>(?:\s+\"[^\"]*\")?\))")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)


def links(markdown: str) -> list[str]:
    """The targets of links and pictures, in order, but for those in code."""
    found: list[str] = []

    def kept(target: str) -> str:
        found.append(target)
        return target

    rewritten(markdown, kept)
    return found


def rewritten(markdown: str, move: Callable[[str], str]) -> str:
    """The same page with each target of a link or picture replaced by what `move` says."""

    def moved(match: re.Match[str]) -> str:
        return f"{match['before']}{move(match['target'])}{match['after']}"

    def outside_spans(line: str) -> str:
        parts, end = [], 0
        for span in _SPAN.finditer(line):
            parts += [_LINK.sub(moved, line[end : span.start()]), span.group()]
            end = span.end()
        return "".join([*parts, _LINK.sub(moved, line[end:])])

    return "\n".join(
        line if is_code else outside_spans(line) for line, is_code in lines_of(markdown)
    )


def lines_of(markdown: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is part of a fenced block, its fences among it."""
    fence = ""
    for line in markdown.split("\n"):
        mark = _FENCE.match(line)
        yield line, bool(fence or mark)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and line.strip() == mark[1]:
            fence = ""


def is_elsewhere(target: str) -> bool:
    """Whether a target is an address, or a place on the page itself."""
    return _ELSEWHERE.match(target) is not None


def resolved(target: str, page: str) -> tuple[str, str]:
    """The file that a page's link leads to, from the root of the repository, and its anchor."""
    path, _, anchor = target.partition("#")
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)), anchor


def relative(file: str, page: str, anchor: str = "") -> str:
    """How a page says where a file is; both from the same root."""
    path = posixpath.relpath(file, posixpath.dirname(page) or ".")
    return f"{path}#{anchor}" if anchor else path
