"""How pages of the repository become pages of the site: where files go, and what links become."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from handbook import links
from handbook.pages.project import INCLUDED, ROOT
from handbook.pieces import items, page

HOME = "README.md"
FOREIGN = "repository"
"""Where files from outside docs/ that a page leads to lie on the site."""

CATALOGUE = "rewards.md"
"""On GitHub one page of all cards; on the site its table, and a page each."""

_SAYS_HOW = re.compile(r"<!-- (run|file|checked|live|shown|world): .*? -->")
_ITEM = re.compile(r"([-*+]|\d+\.) ")


def source_of(uri: str) -> str:
    """The file of the repository that a page of the site is, as links in it are meant."""
    return INCLUDED.get(uri, f"docs/{uri}")


def uri_of(file: str) -> str:
    """Where a file of the repository lies on the site."""
    included = {source: uri for uri, source in INCLUDED.items()}
    if file == HOME:
        return "index.md"
    if file in included:
        return included[file]
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    path = ROOT / file
    return f"{FOREIGN}/{file}/index.md" if path.is_dir() else f"{FOREIGN}/{file}"


def adapted(markdown: str, uri: str) -> str:
    """A page as the site has it: links moved, what is said to the tests alone left out."""
    if uri == CATALOGUE:
        markdown = _table_alone(markdown)
    return links.rewritten(_readable(markdown), _mover(uri))


def foreign_files(markdown: str, uri: str) -> set[str]:
    """Files and folders outside docs/ that a page leads to, from the root of the repository."""
    source = source_of(uri)
    targets = (t for t in links.links(markdown) if not links.is_elsewhere(t))
    found = {links.resolved(target, source)[0] for target in targets}
    return {file for file in found if uri_of(file).startswith(f"{FOREIGN}/")}


def folder_page(folder: str) -> str:
    """A list of the files of a folder, each a link."""
    names = sorted(p.name for p in (ROOT / folder).iterdir() if p.is_file())
    return page(folder, items(f"[{name}]({name})" for name in names))


def folder_files(folder: str) -> list[str]:
    """What `folder_page` leads to, from the root of the repository."""
    return sorted(f"{folder}/{p.name}" for p in (ROOT / folder).iterdir() if p.is_file())


def _mover(uri: str) -> Callable[[str], str]:
    source = source_of(uri)

    def moved(target: str) -> str:
        if links.is_elsewhere(target):
            return target
        file, anchor = links.resolved(target, source)
        if file == f"docs/{CATALOGUE}" and anchor and _is_reward(anchor):
            return links.relative(f"rewards/{anchor}.md", uri)
        return links.relative(uri_of(file), uri, anchor)

    return moved


def _is_reward(anchor: str) -> bool:
    from beholder.rewards import names  # noqa: PLC0415

    return anchor in names()


def _table_alone(markdown: str) -> str:
    table = markdown.partition("\n## ")[0]
    return re.sub(r"\]\(#([a-z0-9_]+)\)", r"](rewards/\1.md)", table)


def _readable(markdown: str) -> str:
    """Without comments for the tests, and with the empty line that a list needs here."""
    found: list[str] = []
    for line, is_code in links.lines_of(markdown):
        if not is_code and _SAYS_HOW.fullmatch(line.strip()):
            continue
        if not is_code and _begins_list(line, found):
            found.append("")
        found.append(line)
    return "\n".join(found)


def _begins_list(line: str, before: list[str]) -> bool:
    """Whether a list follows a line of prose at once: GitHub shows a list, Markdown prose."""
    if not _ITEM.match(line) or not before or not before[-1].strip():
        return False
    last = before[-1]
    return not (_ITEM.match(last) or last.startswith((" ", "|", "#", ">", "```")))


def exists(file: str) -> bool:
    """Whether there is such a file or folder in the repository."""
    return Path(ROOT / file).exists()
