"""The Python reference: a page a public module, filled from its docstrings by mkdocstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import beholder
from handbook.pieces import code, page, shown, table

FOLDER = "reference/modules"
_ROOT = Path(beholder.__file__).parent
ROOMS = {
    "beholder": "Shared words, pictures and tables",
    "beholder.rewards": "Rewards",
    "beholder.eval": "Measuring, filtering, ranking",
    "beholder.training": "Training and tuning",
    "beholder.annotation": "Annotation",
    "beholder.serving": "Serving",
    "beholder.configs": "Configuration",
    "beholder.prompt_sets": "Prompts",
    "beholder.quickstart": "The quickstart",
}


@dataclass(frozen=True, slots=True)
class Module:
    """A public module.

    Attributes:
        name: dotted.
        summary: the first line of its docstring.
        members: public classes, functions and values that it defines.
        again: what it only hands on, under its name there.
    """

    name: str
    summary: str
    members: tuple[str, ...]
    again: tuple[str, ...]


def pages() -> dict[str, str]:
    """The face of the package, the modules by room, and one page a module."""
    found = modules()
    each = {f"{FOLDER}/{one.name}.md": module_page(one) for one in found}
    return {"reference/index.md": _index(found), **each}


@cache
def modules(root: Path = _ROOT) -> tuple[Module, ...]:
    """Public modules that define or hand on something, in the order of their names."""
    return tuple(_found(root))


def _found(root: Path) -> Iterator[Module]:
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if any(part.startswith("_") for part in name.split(".")):
            continue
        found = _read(name, path)
        if found.members or found.again:
            yield found


def module_page(module: Module) -> str:
    """The module, for mkdocstrings to fill."""
    handed = [f"::: {name}\n    options:\n      show_root_heading: true" for name in module.again]
    return page(module.name, f"::: {module.name}", *handed)


def _read(name: str, path: Path) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    members = [n for node in tree.body for n in _defined(node) if not n.startswith("_")]
    again = [n for node in tree.body for n in _handed_on(node)]
    return Module(name, summary, tuple(members), tuple(again))


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _handed_on(node: ast.stmt) -> Iterator[str]:
    """`from beholder._x import Y as Y` makes Y public here."""
    if isinstance(node, ast.ImportFrom) and "._" in (node.module or ""):
        yield from (
            f"{node.module}.{one.name}"
            for one in node.names
            if one.asname == one.name and not one.name.startswith("_")
        )


def _index(found: Sequence[Module]) -> str:
    face = [
        [code(f"beholder.{name}"), f"[{code(home)}](modules/{home}.md)"]
        for name, home in beholder._HOME.items()
    ]
    rooms = [f"## {title}\n\n{_room(room, found)}" for room, title in ROOMS.items()]
    return page(
        "Reference",
        "What `import beholder` gives. Everything else is imported from its module; names that "
        "begin with an underscore may change without notice. The verbs have "
        "[pages of their own](verbs.md).",
        table(["name", "where it is told"], face),
        *rooms,
    )


def _room(room: str, found: Sequence[Module]) -> str:
    rows = [
        [f"[{code(one.name)}](modules/{one.name}.md)", shown(one.summary)]
        for one in found
        if room_of(one.name) == room
    ]
    return table(["module", "what is in it"], rows)


def room_of(name: str) -> str:
    """The room that a module is in: its first two words, or the package's own."""
    room = ".".join(name.split(".")[:2])
    return room if room in ROOMS else "beholder"
