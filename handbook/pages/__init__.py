"""Pages that are made from the code: one file a kind, found in this folder.

Each has `pages()`, which says what lies at which place below docs/.
"""

from __future__ import annotations

import importlib
import pkgutil


def names() -> list[str]:
    """The kinds of pages, by the files of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def made() -> dict[str, str]:
    """Every page by its place, such as "rewards/mps.md", as Markdown."""
    found: dict[str, str] = {}
    for name in names():
        found |= importlib.import_module(f"{__name__}.{name}").pages()
    return found
